"""Recordings: what an application asked of ``llama-server``, as a JSON file."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from harness.config.paths import take_place
from harness.errors import FormatError

_SIZE_LIMIT: Final = 16 * 1024 * 1024


class Launch(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a server.

    Attributes:
        argv: After the program, secrets redacted.
        env: The variables that a server or its backends read.
        files: Text of the presets and templates that it names, by the name it gives them: an
            application may write them anew for each build. Secrets are left out.
        directory: The working directory.
        time: Seconds since the epoch.
        pid: Of the server.
    """

    argv: list[str]
    env: dict[str, str]
    directory: str
    time: float
    pid: int
    files: dict[str, str] = {}


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """All starts during one run of an application.

    Attributes:
        build: The build that stood behind the stand-in.
        environment: That the application ran in; empty for the user's own variables.
        status: How the application ended.
        cut_short: Why it was ended; empty where it ended by itself.
        launches: In the order of their starts.
    """

    build: str
    environment: str = ""
    status: int
    cut_short: str = ""
    launches: list[Launch]


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What an application asked for on each build that it was run with.

    Attributes:
        recording: Version of this format.
        application: The command that was run.
        runs: One for each build and environment.
    """

    recording: Literal[2] = 2
    application: list[str]
    runs: list[Run]


class _OfOneBuild(msgspec.Struct, frozen=True, kw_only=True):
    """Version 1, which held one run."""

    recording: Literal[1]
    build: str
    application: list[str]
    status: int
    launches: list[Launch]

    def in_runs(self) -> Recording:
        run = Run(build=self.build, status=self.status, launches=self.launches)
        return Recording(application=self.application, runs=[run])


class _Form(msgspec.Struct):
    recording: int


def collect_launches(directory: Path) -> list[Launch]:
    """The starts that a stand-in left in its directory, oldest first."""
    launches = [
        msgspec.json.decode(path.read_bytes(), type=Launch) for path in directory.glob("*.json")
    ]
    return sorted(launches, key=lambda launch: launch.time)


def save_recording(recording: Recording, path: Path) -> None:
    """Write a recording, whole or not at all.

    Raises:
        OSError: It cannot be written there.
    """
    text = msgspec.json.format(msgspec.json.encode(recording), indent=2) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
        take_place(Path(unfinished), path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def load_recording(path: Path) -> Recording:
    """Read a recording.

    Raises:
        FormatError: It cannot be read, or is no recording.
    """
    try:
        if path.stat().st_size > _SIZE_LIMIT:
            raise FormatError(f"recording:{path}: larger than {_SIZE_LIMIT} bytes")
        content = path.read_bytes()
        if msgspec.json.decode(content, type=_Form).recording == 1:
            return msgspec.json.decode(content, type=_OfOneBuild).in_runs()
        return msgspec.json.decode(content, type=Recording)
    except OSError as error:
        raise FormatError(f"recording:{path}: cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(
            f"recording:{path}: is no recording: {error}; make one with llama-harness record"
        ) from error


def describe(launches: Sequence[Launch]) -> str:
    """The starts for people, each as a command line that a shell would take."""
    import shlex

    lines = []
    for number, launch in enumerate(launches, start=1):
        variables = [f"{name}={shlex.quote(value)}" for name, value in launch.env.items()]
        lines.append(f"#{number} in {launch.directory}")
        lines.append("  " + " ".join([*variables, "llama-server", shlex.join(launch.argv)]))
    return "\n".join(lines)
