"""All that there is to say of a command line between two builds, one finding for each thing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from harness.flags.atlas import Moment
from harness.model import CellResult, Remark
from harness.settings.value import spoken
from harness.upgrade.changes import Change, Kind
from harness.upgrade.era import Era
from harness.upgrade.interface import told as told_keys
from harness.upgrade.pins import unseen_changes
from harness.upgrade.proof import Proof, Side
from harness.upgrade.sources import moment_between, moment_of_setting
from harness.verdicts.drift import Drift

_DEPRECATED: Final = re.compile(r"deprecated", re.IGNORECASE)

_OF_THE_MODEL: Final = frozenset({"context", "context_per_slot"})
_OF_THE_CONTEXT: Final = frozenset({"dry_penalty_last_n", "repeat_last_n"})
_OF_THE_FILE: Final = frozenset({"model_id"})


class ToldBy(StrEnum):
    """What a finding rests on."""

    LAUNCH = "launch"
    HELP = "help"
    ATLAS = "atlas"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is otherwise on the new build.

    Attributes:
        word: The flag, variable or setting that it is about.
        text: The whole of it in one line.
        instead: What is written instead; None where nothing is changed for it.
        builds: Since which build it holds, as far as that is known.
        source: Where that is from: a pull request as ``#N``, else in words.
        told_by: What it rests on.
        lost: Whether nothing on the new build does the same.
    """

    kind: Kind
    word: str
    text: str
    instead: tuple[str, ...] | None = None
    builds: str = ""
    source: str = ""
    told_by: ToldBy = ToldBy.LAUNCH
    lost: bool = False

    def __str__(self) -> str:
        told = ", ".join(filter(None, (self.builds, self.source)))
        return f"{self.text} ({told})" if told else self.text


def findings_of(
    changes: Sequence[Change],
    sides: tuple[Side, Side],
    proof: Proof,
    *,
    lost: Sequence[Change] = (),
    as_it_is: CellResult | None = None,
) -> Iterator[Finding]:
    """Every finding, of the command line's words first, then of what nothing in it says.

    Args:
        changes: Of the command line.
        sides: The command line on the old build, the new one on the new build.
        proof: What both showed.
        lost: Those of the changes that the new build does not make up for.
        as_it_is: The old command line on the new build.
    """
    old, new = sides
    yield from (_of_change(change, old.era, new.era, lost=change in lost) for change in changes)
    changed = {word.partition("=")[0] for change in changes for word in change.before}
    before = {(one.word, one.why) for one in proof.old.silent}
    written = {word for change in changes for word in change.words}
    # What pins what drifted is no matter of the user's.
    changed |= {*new.line.words} - {*old.line.words} - written
    remarks = [*(as_it_is.silent if as_it_is else ()), *proof.new.silent]
    for remark in dict.fromkeys(remarks):
        known = remark.word in changed or (remark.word, remark.why) in before
        if remark.word and not known:
            yield _of_remark(remark)
    yield from _deprecated(new, {one.word for one in remarks})
    for drift in proof.drifted:
        told = (_told(drift, drift.before, proof.old), _told(drift, drift.after, proof.new))
        text = f"{drift.setting} {told[0]} → {told[1]}"
        finding = Finding(kind=Kind.DRIFT, word=drift.setting, text=text)
        yield _since(finding, moment_of_setting(drift.setting, old.era, new.era))
    for change in unseen_changes(proof, old, new):
        text = f"{change.option} {change.before} → {change.after} by the atlas"
        finding = Finding(kind=Kind.DRIFT, word=change.option, text=text, told_by=ToldBy.ATLAS)
        yield _since(finding, change.moment)
    for line in told_keys(proof.interface):
        yield Finding(kind=Kind.API, word=line.partition(" ")[0], text=line)


def _told(drift: Drift, value: Any, side: CellResult) -> str:
    """A value, or what it is of the harness's own model and file."""
    state = side.effective or {}
    if drift.setting in _OF_THE_MODEL and value == state.get("context_trained"):
        return f"the model's ({value} here)"
    if drift.setting in _OF_THE_CONTEXT and value == state.get("context"):
        return f"the context's ({value} here)"
    if drift.setting in _OF_THE_FILE and isinstance(value, str):
        known = {"PATH": "the file's path", f"{side.request.model}.gguf": "the file's name"}
        return known.get(value, value)
    return spoken(value)


def _since(finding: Finding, moment: Moment | None) -> Finding:
    if moment is None:
        return finding
    return replace(finding, builds=moment.builds, source=moment.link)


def _of_change(change: Change, old: Era, new: Era, *, lost: bool) -> Finding:
    word = (change.before or change.words)[0].partition("=")[0]
    finding = Finding(
        kind=change.kind,
        word=word,
        text=str(change),
        instead=change.words,
        builds="" if change.since is None else f"b{change.since}",
        source=change.source,
        told_by=ToldBy.HELP if change.before else ToldBy.ATLAS,
        lost=lost,
    )
    return _since(finding, moment_between(word, old, new) if change.before else None)


def _of_remark(remark: Remark) -> Finding:
    kind = Kind.DEPRECATED if _DEPRECATED.search(remark.why) else Kind.WITHOUT_EFFECT
    return Finding(kind=kind, word=remark.word, text=remark.why)


def _deprecated(new: Side, told: set[str]) -> Iterator[Finding]:
    """Options of the new command line that the new build calls deprecated."""
    for argument in new.arguments:
        option = argument.option
        if option is None or option.removed or argument.flag in told:
            continue
        if _DEPRECATED.search(option.description):
            text = f"{argument.flag} is deprecated on {new.era.id}: {option.description}"
            yield Finding(kind=Kind.DEPRECATED, word=argument.flag, text=text, told_by=ToldBy.HELP)
