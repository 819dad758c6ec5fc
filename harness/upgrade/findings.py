"""All that there is to say of a command line between two builds, one finding for each thing."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from harness.flags.rules import Default, rules
from harness.model import CellResult, Remark
from harness.settings.value import spoken
from harness.upgrade.changes import Change, Kind, cited
from harness.upgrade.interface import told as told_keys
from harness.upgrade.pins import before_and_after, unseen_drift
from harness.upgrade.proof import Proof, Side
from harness.verdicts.drift import Drift

_DEPRECATED: Final = re.compile(r"deprecated", re.IGNORECASE)


class ToldBy(StrEnum):
    """What a finding rests on."""

    LAUNCH = "launch"
    HELP = "help"
    RULES = "rules"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is otherwise on the new build.

    Attributes:
        word: The flag, variable or setting that it is about.
        text: The whole of it in one line.
        instead: What is written instead; None where nothing is changed for it.
        since: The first build of which it holds; None where that is not known.
        source: Where that is from.
        told_by: What it rests on.
        lost: Whether nothing on the new build does the same.
    """

    kind: Kind
    word: str
    text: str
    instead: tuple[str, ...] | None = None
    since: int | None = None
    source: str = ""
    told_by: ToldBy = ToldBy.LAUNCH
    lost: bool = False

    def __str__(self) -> str:
        return f"{self.text}{cited(self.since, self.source)}"


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
    yield from (_of_change(change, lost=change in lost) for change in changes)
    changed = {word.partition("=")[0] for change in changes for word in change.before}
    before = {(one.word, one.why) for one in proof.old.silent}
    remarks = [*(as_it_is.silent if as_it_is else ()), *proof.new.silent]
    for remark in dict.fromkeys(remarks):
        known = remark.word in changed or (remark.word, remark.why) in before
        if remark.word and not known:
            yield _of_remark(remark)
    yield from _deprecated(new, {one.word for one in remarks})
    yield from (_of_drift(one, old, new) for one in proof.drifted)
    yield from (_of_default(one, old) for one in unseen_drift(old, new)
                if one.setting not in {drift.setting for drift in proof.drifted})  # fmt: skip
    yield from (
        Finding(kind=Kind.API, word=line.partition(" ")[0], text=line)
        for line in told_keys(proof.interface)
    )


def _of_change(change: Change, *, lost: bool) -> Finding:
    word = (change.before or change.words)[0].partition("=")[0]
    return Finding(
        kind=change.kind,
        word=word,
        text=str(change),
        instead=change.words,
        since=change.since,
        source=change.source,
        told_by=ToldBy.RULES if change.since is not None else ToldBy.HELP,
        lost=lost,
    )


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


def _of_drift(drift: Drift, old: Side, new: Side) -> Finding:
    default = _default_of(drift.setting, old, new)
    return Finding(
        kind=Kind.DRIFT,
        word=drift.setting,
        text=f"{drift.setting} {spoken(drift.before)} → {spoken(drift.after)}",
        since=default.since if default else None,
        source=default.source if default else "",
    )


def _default_of(setting: str, old: Side, new: Side) -> Default | None:
    """The change of a default between two builds that a setting shows."""
    name = "draft_max" if setting.startswith("draft-") else setting
    return next(
        (
            one
            for one in rules().default
            if one.setting == name and old.era.since(one.since) != new.era.since(one.since)
        ),
        None,
    )


def _of_default(default: Default, old: Side) -> Finding:
    before, after = before_and_after(default, old.era)
    return Finding(
        kind=Kind.DRIFT,
        word=default.setting,
        text=f"{default.setting} {before} → {after}, which no launch here shows",
        since=default.since,
        source=default.source,
        told_by=ToldBy.RULES,
    )
