"""Which builds to ask, so that what is new is known and windows are as narrow as they can be."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from harness.errors import HarnessError
from harness.flags.atlas import Atlas, AtlasFile
from harness.flags.capabilities import Capabilities
from harness.report.atlas_lines import event_text
from tests.atlas.extension import extended, narrowed
from tests.atlas.reading import differences

Ask = Callable[[int], Capabilities]
"""What a build's ``--help`` says. Raises HarnessError where it cannot be had."""

_LINES = 10


@dataclass(kw_only=True)
class Survey:
    """One run over the builds that an index offers.

    Attributes:
        file: The atlas, which grows.
        offered: Dates of upload by build number.
        ask: Asks a build; its answers are kept.
        most: So many builds are asked at most.
    """

    file: AtlasFile
    offered: dict[int, str]
    ask: Ask
    most: int
    told: dict[int, Capabilities] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def run(self) -> AtlasFile:
        """Ask what is new, then what lies in windows."""
        self._take_new()
        self._narrow()
        return self.file

    def _take_new(self) -> None:
        last = self.file.last
        table = Atlas(self.file).table(last)
        newest = None
        while newest is None and self._may_ask():
            new = [one for one in self.offered if one > last]
            if not new:
                return
            newest = self._asked(max(new))
        if newest is None:
            return
        if differences(newest, self.told[newest], table):
            self._between(last, newest)
        for build in sorted(one for one in self.told if one > last):
            date = self.offered[build]
            self.file = extended(self.file, build, date, self.told[build])

    def _between(self, older: int, newer: int) -> None:
        """Ask builds between two that differ, until neighbours among those offered are left."""
        inside = sorted(one for one in self.offered if older < one < newer)
        if not inside:
            return
        middle = self._asked(inside[len(inside) // 2])
        if middle is None:
            if self._may_ask():
                self._between(older, newer)
            return
        for low, high in ((older, middle), (middle, newer)):
            if not self._alike(low, high):
                self._between(low, high)

    def _alike(self, older: int, newer: int) -> bool:
        if older not in self.told:
            table = Atlas(self.file).table(self.file.last)
            return not differences(newer, self.told[newer], table)
        one, other = ({_key(each) for each in self.told[at].options} for at in (older, newer))
        return one == other

    def _narrow(self) -> None:
        """Ask a build in the middle of each window, again and again."""
        while self._may_ask():
            inside = next(self._in_windows(), None)
            if inside is None:
                return
            build = self._asked(inside)
            if build is not None:
                self.file = narrowed(self.file, build, self.offered[build], self.told[build])

    def _in_windows(self) -> Iterator[int]:
        lives = self.file.options.values()
        windows = {(one.after, one.b) for life in lives for one in life.history if one.after}
        for after, end in sorted(windows):
            inside = sorted(one for one in self.offered if after < one < end)
            new = [one for one in inside if one not in self.file.late_snapshots]
            if new:
                yield new[len(new) // 2]

    def _may_ask(self) -> bool:
        return len(self.told) + len(self.problems) < self.most

    def _asked(self, build: int | None) -> int | None:
        """The build, once it has been asked; None where it cannot be."""
        if build is None or build in self.told:
            return build
        if not self._may_ask():
            return None
        try:
            self.told[build] = self.ask(build)
        except HarnessError as error:
            self.problems.append(f"b{build}: {error}")
            del self.offered[build]
            return None
        return build


def _key(option: object) -> tuple[object, ...]:
    """What of an option the atlas keeps, without its description."""
    names = ("spellings", "placeholder", "env", "removed", "default", "choices")
    return tuple(getattr(option, name) for name in names)


def summary(before: AtlasFile, after: AtlasFile, problems: list[str]) -> tuple[str, ...]:
    """What a survey found, in ten lines at most, for a pull request."""
    if before == after:
        return (f"nothing new: the atlas goes to b{after.last}", *problems[: _LINES - 1])
    lines = [f"atlas: b{before.last} to b{after.last}"]
    old, new = Atlas(before), Atlas(after)
    found = [*new.changes(before.last, after.last)] if after.last > before.last else []
    for one in found:
        moment = new.moment(one.event)
        lines.append(f"{moment.builds}: {one.option} {event_text(one.event)}")
    windows = [_windows(atlas.data) for atlas in (old, new)]
    smaller = sorted(
        f"{option} {kind}: after b{where[0]}, by b{where[1]}"
        for (option, kind, at), where in windows[1].items()
        if windows[0].get((option, kind, at), where) != where
    )
    lines += [f"narrower: {one}" for one in smaller]
    lines += problems
    more = len(lines) - _LINES
    return tuple(lines if more <= 0 else [*lines[: _LINES - 1], f"and {more + 1} more"])


def _windows(file: AtlasFile) -> Mapping[tuple[str, str, int], tuple[int | None, int]]:
    """The window of each event, by option, kind and how many of that kind it had before."""
    found: dict[tuple[str, str, int], tuple[int | None, int]] = {}
    for name, life in file.options.items():
        for event in life.events:
            count = sum(key[:2] == (name, event.kind) for key in found)
            found[name, event.kind, count] = (event.after, event.b)
    return found
