"""The journal of a bisection: JSON Lines, one line on disk before the next step begins.

The first line is the question, frozen with every point, so that neither a new release nor a change
of the store alters what ``bisect resume`` goes on with. Each further line is one tested trial. The
state of a bisection is a function of its journal and of nothing else.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Self

import msgspec
from filelock import FileLock, Timeout

from harness.bisect.confidence import Tally
from harness.bisect.search import Answer
from harness.bisect.trial import AxisName, Outcome, Signature, Trial
from harness.builds import Build
from harness.errors import JournalError
from harness.model import LoadRequest

FORMAT = 1


class CellQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="cell"):
    """Does this cell fail as it does at the bad end?

    Attributes:
        environment: The environment's name.
        request: The load request.
        check: Only this check counts; None for the first that fails at the bad end.
    """

    environment: str
    request: LoadRequest
    check: str | None = None


class CommandQuestion(msgspec.Struct, frozen=True, kw_only=True, tag="command"):
    """Does this command say bad? See ``harness.bisect.predicate`` for its protocol.

    Attributes:
        command: Program and arguments.
        timeout_s: Seconds after which a run is ended and the point counts as untestable.
    """

    command: tuple[str, ...]
    timeout_s: float


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One build, or one version of a subject.

    Attributes:
        id: The build's id or the subject's specification.
        date: ISO date of its publication, empty where unknown.
        number: Upstream's build number; None where it has none.
    """

    id: str
    date: str = ""
    number: int | None = None


class Question(msgspec.Struct, frozen=True, kw_only=True, tag="question"):
    """All that a bisection depends on.

    Attributes:
        axes: One axis or both.
        builds: From the good end to the bad end; a single one if the axis is the subject.
        subjects: Likewise.
        predicate: What is asked of each point.
        definitions: Every build in question, so that going on needs no package index.
        stored: Points that cost nothing to acquire when the bisection began.
        stride: None for one boundary; else see ``search.next_point``.
        confidence: Repeat runs until this is reached; None for one run each.
        atlas: Whether the atlas may say which builds to test first.
        format: Version of this format.
    """

    axes: tuple[AxisName, ...]
    builds: tuple[Point, ...]
    subjects: tuple[Point, ...]
    predicate: CellQuestion | CommandQuestion
    definitions: tuple[Build, ...] = ()
    stored: tuple[str, ...] = ()
    stride: int | None = None
    confidence: float | None = None
    atlas: bool = False
    format: int = FORMAT

    @property
    def good(self) -> Trial:
        """The good end."""
        return Trial(build=self.builds[0].id, subject=self.subjects[0].id)

    @property
    def bad(self) -> Trial:
        """The bad end."""
        return Trial(build=self.builds[-1].id, subject=self.subjects[-1].id)

    def points(self, axis: AxisName) -> tuple[Point, ...]:
        """The points of an axis, from good to bad."""
        return self.builds if axis == "build" else self.subjects


class Step(msgspec.Struct, frozen=True, kw_only=True, tag="step"):
    """One tested trial.

    Attributes:
        trial: What was tested.
        outcome: The run that stands for all of them.
        answer: What the runs together say.
        tally: How they ended.
        acquire_s: Seconds waited until the point was there.
        test_s: Seconds of all runs.
        hints: Of the bad end: the builds that are tested first, see ``harness.bisect.hints``.
    """

    trial: Trial
    outcome: Outcome
    answer: Answer
    tally: Tally = Tally()
    acquire_s: float = 0.0
    test_s: float = 0.0
    hints: tuple[str, ...] = ()


class Notebook:
    """What a bisection knows, in memory.

    Attributes:
        question: What is asked.
        steps: Every trial tested so far.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.steps: dict[Trial, Step] = {}

    @property
    def anchor(self) -> Signature | None:
        """The failure that is bisected, as the bad end showed it; None until that is tested."""
        bad = self.steps.get(self.question.bad)
        return bad.outcome.signature if bad else None

    @property
    def hints(self) -> tuple[str, ...]:
        """The builds that are tested first; none until the bad end is tested."""
        bad = self.steps.get(self.question.bad)
        return bad.hints if bad else ()

    def add(self, step: Step) -> None:
        """Remember a step."""
        self.steps[step.trial] = step


class Journal(Notebook):
    """A notebook in a file, which one process writes; a context manager."""

    def __init__(self, path: Path, question: Question, steps: Mapping[Trial, Step]) -> None:
        super().__init__(question)
        self.path = path
        self.steps.update(steps)
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
        self._file: IO[bytes] | None = None

    @classmethod
    def create(cls, path: Path, question: Question) -> Self:
        """Begin a journal.

        Raises:
            JournalError: The file exists or cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                _write_line(file, question)
        except FileExistsError as error:
            raise JournalError(
                f"{path}: there is a journal already; go on with `bisect resume`, or name another "
                "file with --journal"
            ) from error
        except OSError as error:
            raise _unusable(path, error) from error
        _sync_directory(path.parent)
        return cls(path, question, {})

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a journal to go on with it, or to show it again.

        Raises:
            JournalError: It cannot be read, or is damaged otherwise than by a torn last line.
        """
        question, steps, _ = _read(path)
        return cls(path, question, steps)

    def __enter__(self) -> Self:
        """Take the journal for writing and drop a torn last line.

        Raises:
            JournalError: Another process writes it, or it cannot be written.
        """
        try:
            self._lock.acquire()
            # Read again under the lock: another process may have written in between.
            self.question, steps, whole = _read(self.path)
            self.steps.clear()
            self.steps.update(steps)
            self._file = self.path.open("r+b")
            self._file.truncate(whole)
            self._file.seek(0, os.SEEK_END)
        except Timeout as error:
            raise JournalError(
                f"{self.path}: another process is writing this journal; wait for it or end it"
            ) from error
        except OSError as error:
            self._lock.release()
            raise _unusable(self.path, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        self._lock.release()

    def add(self, step: Step) -> None:
        """Remember a step; it is on disk when this returns.

        Raises:
            JournalError: It cannot be written.
        """
        assert self._file is not None, "a journal is written inside its `with` block"
        try:
            _write_line(self._file, step)
        except OSError as error:
            raise _unusable(self.path, error) from error
        super().add(step)


def _read(path: Path) -> tuple[Question, dict[Trial, Step], int]:
    """The question, the steps, and how many bytes of the file are whole lines."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unusable(path, error) from error
    whole = content.rfind(b"\n") + 1
    lines = content[:whole].splitlines()
    if not lines:
        raise JournalError(
            f"{path}: no whole line in this journal; begin another with `bisect run`"
        )
    question: Question | None = None
    steps: dict[Trial, Step] = {}
    for number, line in enumerate(lines, start=1):
        try:
            if question is None:
                question = msgspec.json.decode(line, type=Question)
                if question.format != FORMAT:
                    raise JournalError(
                        f"{path}: journal of format {question.format}, this harness writes "
                        f"{FORMAT}; begin another with `bisect run`"
                    )
            else:
                step = msgspec.json.decode(line, type=Step)
                steps[step.trial] = step
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise JournalError(
                f"{path}:{number}: not a line of a bisection's journal: {error}"
            ) from error
    assert question is not None
    return question, steps, whole


def _write_line(file: IO[bytes], record: Question | Step) -> None:
    file.write(msgspec.json.encode(record) + b"\n")
    file.flush()
    os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    """Make a new file's name durable, where directories can be opened."""
    if os.name != "posix":
        return
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unusable(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: this journal cannot be used: {error.strerror or error}")
