"""Two launches compared: the old command line on the old build, the new one on the new build."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.cells.side_by_side import run_side_by_side
from harness.cells.workbench import Workbench
from harness.flags.arguments import Argument
from harness.model import Cell, CellResult, DemandedBy, LoadRequest
from harness.settings.observation import Observation
from harness.settings.state import SETTINGS
from harness.settings.value import same
from harness.subjects.command_lines import CommandLine, StaticSubject
from harness.verdicts.drift import Drift, drift
from harness.verdicts.findings import flat


@dataclass(frozen=True, kw_only=True)
class Side:
    """One build with the command line that is meant for it."""

    build: str
    line: CommandLine


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What two launches showed.

    Attributes:
        old: Of the old command line on the old build.
        new: Of the new one on the new build.
        interface: Keys of the API that appear, vanish or change their type, a line each.
    """

    old: CellResult
    new: CellResult
    interface: tuple[str, ...]

    @property
    def demanded(self) -> frozenset[str]:
        """The settings that either command line asks for."""
        return frozenset(
            evidence.setting for side in (self.old, self.new) for evidence in side.witnesses
        )

    def keeps(self, word: str) -> bool:
        """Whether the setting of a flag or variable is on the new build what it was on the old."""
        flag = Argument(flag=word.partition("=")[0], values=(), option=None)
        states = (self.old.effective or {}, self.new.effective or {})
        about = (
            name
            for name, setting in SETTINGS.items()
            if any(family.is_set_by(flag) for family in setting.families)
        )
        return any(
            all(name in state for state in states) and _alike(*(state[name] for state in states))
            for name in about
        )

    @property
    def differing(self) -> tuple[Drift, ...]:
        """Settings that were asked for and are not what they were."""
        return tuple(one for one in self._changes() if one.setting in self._asked)

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """Settings that nothing asked for and that are not what they were."""
        return tuple(one for one in self._changes() if one.setting not in self._asked)

    @property
    def _asked(self) -> frozenset[str]:
        speculation = {"drafts", "draft_type", "draft_max"}
        return frozenset({*self.demanded, *speculation})

    def _changes(self) -> Iterator[Drift]:
        if self.old.effective is None or self.new.effective is None:
            return iter(())
        states = [(side.build, flat(side.effective or {})) for side in (self.old, self.new)]
        return drift(states)


@dataclass(kw_only=True)
class _Seen:
    """What the watcher of a workbench kept."""

    shapes: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def keep(self, cell: Cell, observation: Observation) -> None:
        self.shapes.setdefault(cell.subject, interface_of(observation))


def prove(old: Side, new: Side, environment: str, model: str, workbench: Workbench) -> Proof:
    """Launch both, and compare them.

    Args:
        old: Before.
        new: After.
        environment: Of both.
        model: Of both.
        workbench: Has the builds.
    """
    cells = []
    for place, side in enumerate((old, new)):
        subject = StaticSubject(f"upgrade:{'old' if place == 0 else 'new'}", side.line)
        workbench.add_subject(subject)
        cells.append(
            Cell(
                build=side.build,
                subject=subject.name,
                environment=environment,
                request=LoadRequest(model=model, mode=None),
                demanded_by=DemandedBy.COMMAND_LINE,
            )
        )
    seen = _Seen()
    workbench.watcher = seen.keep
    first, second = run_side_by_side(cells, workbench)
    shapes = [seen.shapes.get(cell.subject, {}) for cell in cells]
    return Proof(old=first, new=second, interface=tuple(_between(*shapes)))


def interface_of(observation: Observation) -> Mapping[str, str]:
    """The keys of what the API answers, with their types, by path."""
    answers: Mapping[str, Any] = {
        "/props": observation.properties,
        "/slots[]": observation.slot,
        "/v1/models data[]": observation.models[0] if observation.models else None,
        "/completion": observation.completion,
        "/v1/chat/completions": observation.probed.chat if observation.probed else None,
    }
    return {path: kind for name, answer in answers.items() for path, kind in _keys(name, answer)}


def _keys(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _keys(f"{path} {key}", inner)
    elif value is not None:
        yield path, _KINDS.get(type(value), type(value).__name__)


_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", list: "list"}


def _between(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    if not old or not new:
        return
    for path, kind in old.items():
        if path not in new:
            yield f"{path}: gone"
        elif new[path] != kind:
            yield f"{path}: {kind} → {new[path]}"
    yield from (f"{path}: new ({kind})" for path, kind in new.items() if path not in old)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same; of speculation, whether as much is drafted by the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        lengths = [{name: draft.n_max for name, draft in each.items()} for each in (one, other)]
        return lengths[0] == lengths[1]
    return same(one, other)
