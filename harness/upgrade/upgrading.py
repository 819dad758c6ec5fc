"""One command line between two builds: rewritten, launched, compared."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Final

from harness.config.paths import is_file
from harness.errors import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_NOTHING_SAYS_IT, EXIT_OK
from harness.model import CellResult, LoadRequest, Verdict
from harness.subjects.command_lines import CommandLine
from harness.upgrade.changes import Change
from harness.upgrade.era import Era, Words
from harness.upgrade.findings import Finding, findings_of
from harness.upgrade.pins import pins
from harness.upgrade.presets import PRESET, RewrittenPreset, rewrite_preset
from harness.upgrade.proof import Proof, Prover, Side, prove
from harness.upgrade.rewriting import rewrite
from harness.verdicts.findings import Finding as Outcome
from harness.verdicts.findings import finding_of

_PINNINGS: Final = 6
"""Launches, at most: a pin may be refused, or make something else drift."""


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """One command line between two builds.

    Attributes:
        name: Of the command line, where a file has several.
        old: The command line as it is, on the old build.
        new: As it is to be written, on the new one.
        changes: What of it is written otherwise.
        pins: What drifted and is pinned, with the words that do it.
        proof: What both launches showed.
        as_it_is: The old command line on the new build; None where nothing is changed.
        stages: The command line after each change; the first one before all.
        files: The presets that the command line names, as they are to be written.
        own_plan: Whether a subject wrote the new command line by itself.
    """

    name: str
    old: Side
    new: Side
    changes: tuple[Change, ...]
    pins: tuple[tuple[str, Words], ...]
    proof: Proof
    as_it_is: CellResult | None
    stages: tuple[CommandLine, ...] = ()
    files: Mapping[Path, str] = field(default_factory=dict)
    own_plan: bool = False

    @property
    def changed(self) -> bool:
        """Whether the command line, or a preset of it, is written otherwise."""
        if self.own_plan:
            return False
        return bool(self.files) or (self.new.line.words, dict(self.new.line.env)) != (
            self.old.line.words,
            dict(self.old.line.env),
        )

    @property
    def starts(self) -> bool:
        """Whether the new build starts with the new command line."""
        return self.proof.new.effective is not None

    @cached_property
    def lost(self) -> tuple[Change, ...]:
        """What the new words do not say, and the new build does not do without being told."""
        return tuple(
            one
            for one in self.changes
            if one.lost and (one.after or not self.proof.keeps(one.before[0]))
        )

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """All that there is to say."""
        return tuple(
            findings_of(
                self.changes,
                (self.old, self.new),
                self.proof,
                lost=self.lost,
                as_it_is=self.as_it_is,
            )
        )

    @property
    def outcomes(self) -> tuple[Outcome, Outcome, Outcome | None]:
        """What the old build does, the new one does, and does with the command line as it is."""
        return (
            _outcome(self.proof.old, self.old),
            _outcome(self.proof.new, self.new),
            _outcome(self.as_it_is, replace(self.new, line=self.old.line))
            if self.as_it_is
            else None,
        )

    @property
    def status(self) -> int:
        """The exit status that it alone would have.

        Where the old build refuses the command line, too, the new one must do what it asks.
        """
        old, new = self.proof.old, self.proof.new
        if Verdict.ERROR in {old.status, new.status}:
            return EXIT_CANNOT_TELL
        unproved = old.effective is None and new.status is not Verdict.PASS
        if not self.starts or unproved or self.lost or self.proof.differing:
            return EXIT_NOTHING_SAYS_IT
        return EXIT_FAIL if self.changed else EXIT_OK


def upgraded(name: str, old: Side, new: Side, prover: Prover, *, pin: bool = False) -> Upgrade:
    """Write a command line for another build, and launch both.

    Args:
        name: Of the command line.
        old: The command line on the build that it is written for.
        new: The same on the other build.
        prover: Launches.
        pin: Whether to pin what drifted to what it was.
    """
    rewriting = rewrite(old.line, old.era, new.era)
    presets = _presets(old, new.era)
    written = replace(
        new, line=rewriting.line, presets=_laid_out(presets, prover.workbench.scratch)
    )
    prover.run([old, new, written])
    found: tuple[tuple[str, Words], ...] = ()
    if pin:
        written, found = _pinned(old, written, prover)
    proof = prove(old, written, prover)
    as_it_is = None if written.key == new.key else prover.run([new])[0]
    return Upgrade(
        name=name,
        old=old,
        new=written,
        changes=(*rewriting.changes, *chain(*(one.changes for one in presets.values()))),
        pins=found,
        stages=(*rewriting.stages, written.line),
        files={path: preset.text for path, preset in presets.items()},
        proof=proof,
        as_it_is=as_it_is,
    )


def _presets(old: Side, new: Era) -> Mapping[Path, RewrittenPreset]:
    """The presets that a command line names and that need to be written otherwise."""
    found = {}
    for argument in old.arguments:
        path = Path(argument.value)
        if PRESET in argument.spelling and is_file(path):
            text = path.read_text(encoding="utf-8")
            preset = rewrite_preset(text, old.era, new)
            if preset.text != text:
                found[path] = preset
    return found


def _laid_out(presets: Mapping[Path, RewrittenPreset], folder: Path) -> Mapping[str, str]:
    """Files with the texts of presets, by the name of what each stands for."""
    named = {}
    for number, (path, preset) in enumerate(presets.items()):
        file = folder / f"preset-{number}-{path.name}"
        file.write_text(preset.text, encoding="utf-8", newline="\n")
        named[str(path)] = str(file)
    return named


def _pinned(old: Side, new: Side, prover: Prover) -> tuple[Side, tuple[tuple[str, Words], ...]]:
    """A command line with all that drifts pinned, as far as the new build takes it."""
    found: tuple[tuple[str, Words], ...] = ()
    refused: set[str] = set()
    for _ in range(_PINNINGS):
        words = (word for _, said in found for word in said)
        whole = replace(new, line=replace(new.line, words=(*new.line.words, *words)))
        proof = prove(old, whole, prover)
        if proof.new.effective is None and found:
            refused.add(_outcome(proof.new, whole).blame or found[-1][1][0])
            left = tuple(one for one in found if refused.isdisjoint(one[1]))
        else:
            more = (one for one in pins(proof, old, whole) if refused.isdisjoint(one[1]))
            left = (*found, *(one for one in more if one not in found))
        if left == found:
            break
        found = left
    return whole, found


def worst(statuses: Iterable[int]) -> int:
    """The exit status of several."""
    order = (EXIT_NOTHING_SAYS_IT, EXIT_CANNOT_TELL, EXIT_FAIL)
    found = {*statuses}
    return next((status for status in order if status in found), EXIT_OK)


def _outcome(result: CellResult, side: Side) -> Outcome:
    return finding_of(result, side.era.capabilities, side.line.words, side.line.env, {})


def planned(subject: str, request: LoadRequest, eras: tuple[Era, Era], prover: Prover) -> Upgrade:
    """What a subject writes for two builds; where that differs, its old plan for the new build.

    Args:
        subject: The subject.
        request: What it is asked for.
        eras: The build that its plan is held against, and the other one.
        prover: Launches.

    Raises:
        SubjectError: It gives no plan for one of the builds.
    """
    old, new = prover.run_plans(subject, request, eras)
    proof = prove(old, new, prover)
    starts = proof.new.effective is not None or proof.old.effective is None
    name = f"{subject} ({request.spelling})"
    if not starts or proof.differing:
        return upgraded(name, old, replace(old, era=new.era), prover)
    return Upgrade(
        name=name, old=old, new=new, changes=(), pins=(), proof=proof, as_it_is=None, own_plan=True
    )
