"""``recording:FILE`` and ``recording:FILE#N``: what an application asked for, played again."""

import fnmatch
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.config.paths import expanded
from harness.errors import FormatError, SubjectError
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Provenance
from harness.shim.recordings import Launch, Recording, Run, load_recording
from harness.subjects.command_lines import CommandLine, StaticSubject

EXPECTS_SUFFIX: Final = ".expects.json"
"""Of the file beside a recording, in place of its own suffix."""

Expects = dict[str, dict[str, Any]]


@contextmanager
def open(rest: str) -> Iterator["RecordingSubject"]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: ``FILE``, ``FILE#N``, N counting the recorded starts of a build from 1, or either
            with ``@BUILD`` after the file: what was recorded on that build, for every build.

    Raises:
        SubjectError: The file is no recording, or no server was started.
    """
    where, _, number = rest.partition("#")
    where, build = _split(where)
    recording = load_recording(expanded(where))
    if not any(run.launches for run in recording.runs):
        raise SubjectError(f"recording:{where}: the application started no server")
    subject = RecordingSubject(
        name=f"recording:{rest}",
        where=where,
        number=number,
        build=build,
        recording=recording,
        expects=_expects(expanded(where).with_suffix(EXPECTS_SUFFIX)),
    )
    subject.check()
    yield subject


def _split(where: str) -> tuple[str, str]:
    """The file, and the build after it; a file may have an ``@`` in its name."""
    file, at, build = where.rpartition("@")
    if not at or expanded(where).exists():
        return where, ""
    return file, build


def _expects(file: Path) -> Expects:
    """What the application's maintainer says of its servers, by globs of builds.

    Raises:
        FormatError: The file cannot be read, or is of another form.
    """
    try:
        return msgspec.json.decode(file.read_bytes(), type=Expects)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise FormatError(f"{file}: cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"{file}: says nothing that can be expected: {error}; write "
            '{"BUILD GLOB": {"SETTING": VALUE}}'
        ) from error


@dataclass(frozen=True, kw_only=True)
class RecordingSubject:
    """Answers for the build of a cell with what was recorded on it.

    Attributes:
        name: The spec it was opened with.
        where: The file, as it was named.
        number: Which start; empty where only one is meant.
        build: The build whose run answers for all; empty for the build of the cell.
        recording: What was recorded.
        expects: What its servers are to be set to, by globs of builds; later ones win.
    """

    name: str
    where: str
    number: str
    build: str
    recording: Recording
    expects: Expects = field(default_factory=dict)

    @property
    def line(self) -> CommandLine:
        """The command line; an empty one where it is not the same everywhere."""
        first, *others = self.lines
        return CommandLine(words=()) if any(one != first for one in others) else first

    @property
    def lines(self) -> tuple[CommandLine, ...]:
        """The command lines of all builds and environments."""
        found = []
        for run in self._runs:
            with suppress(SubjectError):
                found += [self._line(run)] if run.launches else []
        return tuple(found)

    def line_on(self, build: str, environment: str) -> CommandLine | None:
        """The command line for a build in an environment; None where none was recorded."""
        try:
            return self._line(self._run(build, environment))
        except SubjectError:
            return None

    @property
    def _runs(self) -> tuple[Run, ...]:
        return tuple(run for run in self.recording.runs if self.build in {"", run.build})

    def check(self) -> None:
        """See whether a run has the start that is meant.

        Raises:
            SubjectError: None has, or nothing was recorded on the build that is named.
        """
        refused = self._not_recorded(self.build)
        for run in self._runs:
            if run.launches:
                try:
                    self._line(run)
                except SubjectError as error:
                    refused = error
                else:
                    return
        raise refused

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """The recorded command line, as it was written; whoever launches it fits it to this host.

        Raises:
            SubjectError: Nothing was recorded on the build, or in its environment.
        """
        line = self._line(self._run(target.build, target.environment))
        expected: dict[str, Any] = {}
        for builds, settings in self.expects.items():
            if fnmatch.fnmatchcase(target.build, builds):
                expected |= settings
        plan = StaticSubject(self.name, line).plan(request, target)
        return replace(plan, expects=expected, provenance=Provenance.WHOLE)

    def _run(self, build: str, environment: str) -> Run:
        """The run that speaks for a build in an environment.

        Raises:
            SubjectError: There is none, or no server was started in it.
        """
        runs = [run for run in self._runs if self.build or run.build == build]
        if not runs:
            raise self._not_recorded(build)
        matching = [run for run in runs if run.environment in {"", environment}]
        if not matching:
            raise SubjectError(
                f"recording:{self.where}: was recorded in {runs[0].environment}, not in "
                f"{environment}; record it with --env {environment}"
            )
        run = matching[-1]
        if not run.launches:
            raise SubjectError(
                f"recording:{self.where}: on {run.build} the application started no server and "
                f"ended with status {run.status}"
            )
        return run

    def _line(self, run: Run) -> CommandLine:
        launch = self._launch(run)
        return CommandLine(words=tuple(launch.argv), env=launch.env, files=launch.files)

    def _launch(self, run: Run) -> Launch:
        launches = run.launches
        if not self.number:
            if len({(tuple(one.argv), tuple(one.env.items())) for one in launches}) > 1:
                raise SubjectError(
                    f"recording:{self.where}: which of {len(launches)} starts? Write "
                    f"recording:{self.where}#N"
                )
            return launches[0]
        if not self.number.isdecimal() or not 1 <= int(self.number) <= len(launches):
            raise SubjectError(
                f"recording:{self.where}#{self.number}: there is no such start; it has "
                f"{len(launches)} on {run.build}"
            )
        return launches[int(self.number) - 1]

    def _not_recorded(self, build: str) -> SubjectError:
        recorded = ", ".join(dict.fromkeys(run.build for run in self.recording.runs))
        first = self.recording.runs[0].build
        return SubjectError(
            f"recording:{self.where}: was recorded on {recorded}, not on {build}, and applications "
            f"ask a build what it knows; record it with --build {build}, or name "
            f"recording:{self.where}@{first} to have that one everywhere"
        )
