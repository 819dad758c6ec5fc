"""Launches compared: the old command line on the old build, the new one on the new build."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from harness.cells.side_by_side import run_side_by_side
from harness.cells.workbench import Workbench
from harness.errors import SubjectError
from harness.flags.arguments import Argument, read_arguments, read_variables
from harness.model import Cell, CellResult, DemandedBy, DraftRange, LoadRequest
from harness.settings.observation import Observation
from harness.settings.speculation.contract import Expectation
from harness.settings.state import SETTINGS, SPECULATION, asked
from harness.settings.value import ANYTHING, Wish, same
from harness.subjects.command_lines import CommandLine, StaticSubject
from harness.upgrade.era import Era
from harness.upgrade.interface import Interface, KeyChange, compare_interfaces, interface_of
from harness.verdicts.drift import OF_THE_HARNESS, Drift

_TYPES: Final = "draft_type"
_OWN_SETTINGS: Final = {
    "draft_min": ("draft-simple n_min", "draft-mtp n_min"),
    "ngram_min": ("ngram-mod n_min",),
}
"""Lengths that a setting of their own tells, where both builds tell it."""

_Key = tuple[str, tuple[str, ...], tuple[tuple[str, str], ...]]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One build with the command line that is meant for it.

    Attributes:
        presets: For each preset that the command line names, the file that stands for it.
    """

    era: Era
    line: CommandLine
    presets: Mapping[str, str] = field(default_factory=dict)

    @property
    def launched(self) -> CommandLine:
        """The command line as it is launched."""
        words = tuple(self.presets.get(word, word) for word in self.line.words)
        return replace(self.line, words=words)

    @property
    def key(self) -> _Key:
        """Equal for equal launches."""
        return self.era.id, self.launched.words, tuple(self.line.env.items())

    @property
    def arguments(self) -> tuple[Argument, ...]:
        """The variables and arguments, as the build reads them."""
        capabilities = self.era.capabilities
        variables = read_variables(self.line.env, capabilities)
        return (*variables, *read_arguments(self.line.words, capabilities))


@dataclass(frozen=True, kw_only=True)
class Prover:
    """Launches what it is asked for, each once.

    Attributes:
        environment: Of every launch.
        model: Likewise.
        has_program: Whether the program stood before the command line.
    """

    workbench: Workbench
    environment: str
    model: str
    has_program: bool = False
    results: dict[_Key, CellResult] = field(default_factory=dict)
    _seen: dict[str, Interface] = field(default_factory=dict)
    _subjects: dict[_Key, str] = field(default_factory=dict)

    def run(self, sides: Sequence[Side]) -> list[CellResult]:
        """The result of each, in their order."""
        left = {side.key: side for side in sides if side.key not in self.results}
        self.workbench.watcher = self._keep
        cells = [self._cell(side) for side in left.values()]
        for key, result in zip(left, run_side_by_side(cells, self.workbench), strict=True):
            self.results[key] = result
        return [self.results[side.key] for side in sides]

    def run_plans(
        self, subject: str, request: LoadRequest, eras: Sequence[Era]
    ) -> tuple[Side, ...]:
        """What a subject writes for some builds, launched as it wrote it.

        Raises:
            SubjectError: It gives no plan for one of them.
        """
        self.workbench.watcher = self._keep
        sides = []
        for number, era in enumerate(eras):
            cell = Cell(
                build=era.id,
                subject=subject,
                environment=self.environment,
                request=request,
                demanded_by=DemandedBy.COMMAND_LINE,
            )
            (result,) = run_side_by_side([cell], self.workbench)
            if not result.argv:
                why = result.failure.message if result.failure else "it does not say why"
                raise SubjectError(f"{subject} gives no plan for {era.id}: {why}")
            side = Side(era=era, line=CommandLine(words=result.argv, env=result.env))
            self.results[side.key] = result
            name = self._subjects.setdefault(side.key, f"{subject}:{number}")
            self._seen[name] = self._seen.pop(subject, {})
            sides.append(side)
        return tuple(sides)

    def interface(self, side: Side) -> Interface:
        """What the API of a launch answers; nothing where it did not start."""
        return self._seen.get(self._subjects.get(side.key, ""), {})

    def _keep(self, cell: Cell, observation: Observation) -> None:
        self._seen.setdefault(cell.subject, interface_of(observation))

    def _cell(self, side: Side) -> Cell:
        name = self._subjects.setdefault(side.key, f"upgrade:{len(self._subjects)}")
        subject = StaticSubject(name, side.launched, has_program=self.has_program)
        self.workbench.add_subject(subject)
        return Cell(
            build=side.era.id,
            subject=name,
            environment=self.environment,
            request=LoadRequest(model=self.model, mode=None),
            demanded_by=DemandedBy.COMMAND_LINE,
        )


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What two launches showed.

    Attributes:
        old: Of the old command line on the old build.
        new: Of the new one on the new build.
        asked: What the old command line demands, by setting.
        wanted: What the new one demands.
        interface: Keys of the API that differ.
    """

    old: CellResult
    new: CellResult
    asked: Mapping[str, Any]
    wanted: Mapping[str, Any]
    interface: tuple[KeyChange, ...]

    def keeps(self, word: str) -> bool:
        """Whether a setting of a flag or variable is on the new build what it was on the old."""
        states = (self.old.effective or {}, self.new.effective or {})
        return any(
            all(name in state for state in states) and _alike(*(state[name] for state in states))
            for name in settings_of(word)
        )

    @property
    def differing(self) -> tuple[Drift, ...]:
        """Settings that were as the command line asks for, and are not."""
        return tuple(one for one in self._changes if self._granted(one) == (True, False))

    @property
    def gained(self) -> tuple[Drift, ...]:
        """Settings that were asked for in vain, and are so now."""
        return tuple(one for one in self._changes if self._granted(one) == (False, True))

    @property
    def drifted(self) -> tuple[Drift, ...]:
        """Settings that are not what they were, with nothing that asks for it."""
        told = [*self.differing, *self.gained]
        return tuple(one for one in self._changes if one not in told)

    def _granted(self, change: Drift) -> tuple[bool, bool]:
        """Whether what is asked of a setting was so, and is so."""
        if not self._is_asked(change.setting):
            return False, False
        sides = ((self.asked, self.old), (self.wanted, self.new))
        was, now = (
            _granted(change.setting, demands, side.effective or {}) for demands, side in sides
        )
        return was, now

    def _is_asked(self, setting: str) -> bool:
        name, _, length = setting.partition(" ")
        types = _types(self.asked.get(SPECULATION))
        if length:
            return length == "n_max" and name in types and types[name].n_max is not None
        if setting == _TYPES:
            return bool(types)
        demand = self.asked.get(setting)
        return isinstance(demand, Wish) and demand.value != ANYTHING

    @property
    def _changes(self) -> tuple[Drift, ...]:
        old, new = self.old.effective, self.new.effective
        if old is None or new is None:
            return ()
        since = self.new.build
        plain = (
            Drift(setting=name, before=old[name], after=new[name], since=since)
            for name in SETTINGS
            if name in old and name in new and name != SPECULATION and name not in OF_THE_HARNESS
        )
        found = (one for one in plain if not same(one.before, one.after))
        return (*_of_speculation(self.old, self.new), *found)


def prove(old: Side, new: Side, prover: Prover) -> Proof:
    """Launch both, and compare them."""
    first, second = prover.run([old, new])
    unread = {
        name: value
        for name, value in old.line.env.items()
        if old.era.option_of_variable(name) is None
    }
    in_vain = read_variables(unread, new.era.capabilities)
    return Proof(
        old=first,
        new=second,
        asked=asked((*in_vain, *old.arguments)),
        wanted=asked(new.arguments),
        interface=compare_interfaces(prover.interface(old), prover.interface(new)),
    )


def settings_of(word: str) -> Iterator[str]:
    """The settings that a flag or variable sets."""
    argument = Argument(flag=word.partition("=")[0], values=(), option=None)
    return (
        name
        for name, setting in SETTINGS.items()
        if any(family.is_set_by(argument) for family in setting.families)
    )


def _types(demand: object) -> Mapping[str, Any]:
    return demand.implementations if isinstance(demand, Expectation) else {}


def _granted(setting: str, demands: Mapping[str, Any], state: Mapping[str, Any]) -> bool:
    """Whether what is demanded is so."""
    if setting == _TYPES or " " in setting:
        effective: Mapping[str, DraftRange] = state.get(SPECULATION) or {}
        return all(
            name in effective and draft.n_max in {None, effective[name].n_max}
            for name, draft in _types(demands.get(SPECULATION)).items()
        )
    demand = demands.get(setting)
    if not isinstance(demand, Wish) or setting not in state:
        return False
    return all(check.ok for check in SETTINGS[setting].compare(demand, state, ()))


def _of_speculation(old: CellResult, new: CellResult) -> Iterator[Drift]:
    """What drafts, and how far, as settings of their own."""
    before, after, since = old.drafts, new.drafts, new.build
    if before is None or after is None:
        return
    if before.keys() != after.keys():
        named = [",".join(sorted(one)) or "none" for one in (before, after)]
        yield Drift(setting=_TYPES, before=named[0], after=named[1], since=since)
    both = {*(old.effective or {})} & {*(new.effective or {})}
    told = {name for setting, names in _OWN_SETTINGS.items() if setting in both for name in names}
    for name in sorted(before.keys() & after.keys()):
        for length in ("n_max", "n_min"):
            was, now = getattr(before[name], length), getattr(after[name], length)
            if None not in (was, now) and was != now and f"{name} {length}" not in told:
                yield Drift(setting=f"{name} {length}", before=was, after=now, since=since)


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same; of speculation, whether as much is drafted by the same."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        lengths = [{name: draft.n_max for name, draft in each.items()} for each in (one, other)]
        return lengths[0] == lengths[1]
    return same(one, other)
