"""Every server that Studio starts, recorded as it starts it."""

import contextlib
import http.client
import itertools
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loopback import on_loopback  # type: ignore[import-not-found]  # put on the path beside us

_ASKS_ONLY = frozenset({"--help", "-h", "--usage", "--version", "--list-devices"})
_THREAD_FLAGS = frozenset({"-t", "--threads", "-tb", "--threads-batch"})
_OWN_VARIABLES = {"LLAMA_ARG_THREADS": "1", "GGML_NO_BACKTRACE": "1"}
"""Without the second one, a failed assertion first runs a debugger for seconds."""

_POLL_S = 0.01
_HEALTH_REQUEST_S = 1.0


@dataclass(kw_only=True)
class Spawn:
    """One server process that Studio started.

    Attributes:
        argv: After the program.
        env: The whole environment it was given.
        healthy: Whether ``/health`` answered 200 within the time allowed.
        hurried: Whether it was neither healthy nor gone when the time was up.
    """

    argv: list[str]
    env: dict[str, str]
    healthy: bool = False
    hurried: bool = False
    process: "subprocess.Popen[Any] | None" = field(default=None, repr=False)

    @property
    def pid(self) -> int | None:
        """None where it could not be started."""
        return self.process.pid if self.process is not None else None

    @property
    def runs(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def end(self) -> None:
        """Kill it, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class SpawnRecorder:
    """Stands in for ``subprocess.Popen``: starts what it is asked to, and writes servers down.

    A server is waited for, up to ``settle_s``, before Studio gets it back: then the first
    health poll of Studio, which sleeps half a second between two, already succeeds.

    Servers run on one thread, since several that wait for each other cost a tiny model minutes on
    a busy host; what is written down is what Studio asked for. With ``trial`` set, servers only
    serve to find out what Studio settles on: one that is neither healthy nor gone in time is
    killed and no other one is started.
    """

    def __init__(self, binary: Path, settle_s: float, *, trial: bool) -> None:
        self._binary = binary
        self._settle_s = settle_s
        self._trial = trial
        self._gave_up = False
        self._lock = threading.Lock()
        self._environment = dict(os.environ)
        self.spawns: list[Spawn] = []

    def end_all(self) -> None:
        """Kill what still runs, and let nothing more start."""
        with self._lock:
            self._gave_up = True
        for spawn in self.spawns:
            spawn.end()

    def is_server(self, command: object) -> bool:
        """Whether a command starts a server, and does not merely ask the program something."""
        if isinstance(command, str | bytes | os.PathLike) or not isinstance(command, Sequence):
            return False
        if not command:
            return False
        program = Path(os.fsdecode(command[0]))
        return program.name == self._binary.name and not _ASKS_ONLY.intersection(
            str(part) for part in command[1:]
        )

    def added(self, spawn: Spawn) -> dict[str, str]:
        """The variables that Studio gave a server, and does not have itself."""
        return {k: v for k, v in spawn.env.items() if self._environment.get(k) != v}

    def before(self, command: Sequence[object], env: Mapping[str, str] | None) -> Spawn:
        """Write a server down before it starts.

        Raises:
            OSError: A server was given up on; no other one may start.
        """
        with self._lock:
            if self._gave_up:
                raise OSError("an earlier server of this plan neither answered nor ended")
            spawn = Spawn(
                argv=[str(part) for part in command[1:]],
                env=dict(os.environ if env is None else env),
            )
            self.spawns.append(spawn)
        return spawn

    def started_as(self, spawn: Spawn) -> tuple[list[str], dict[str, str]]:
        """The arguments and variables that the server really gets."""
        argv = list(spawn.argv)
        for index, flag in enumerate(argv[:-1]):
            if flag in _THREAD_FLAGS:
                argv[index + 1] = "1"
        local, env, _ = on_loopback(argv, {**_OWN_VARIABLES, **spawn.env})
        return list(local), env

    def after(self, spawn: Spawn, process: "subprocess.Popen[Any]") -> None:
        """Wait until a started server is healthy, gone, or out of time."""
        spawn.process = process
        port = flag_value(spawn.argv, "--port")
        deadline = time.monotonic() + self._settle_s
        while time.monotonic() < deadline and process.poll() is None:
            if port is not None and _healthy(int(port)):
                spawn.healthy = True
                return
            time.sleep(_POLL_S)
        spawn.hurried = process.poll() is None
        if self._trial and spawn.hurried:
            self._gave_up = True
            process.kill()


def flag_value(argv: Sequence[str], flag: str) -> str | None:
    """The value after the last ``flag``; None where it is not there or not a number's place."""
    value = None
    for here, following in itertools.pairwise(argv):
        if here == flag:
            value = following
    return value if value is None or value.isdigit() else None


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HEALTH_REQUEST_S)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False


class Interceptor:
    """Puts a recorder in front of ``subprocess.Popen``; the recorder changes per operation."""

    def __init__(self) -> None:
        self.recorder: SpawnRecorder | None = None
        original = subprocess.Popen
        interceptor = self

        class RecordingPopen(original):  # type: ignore[valid-type, misc]
            def __init__(self, args: Any, *rest: Any, **options: Any) -> None:
                recorder = interceptor.recorder
                if recorder is None or not recorder.is_server(args):
                    super().__init__(args, *rest, **options)
                    return
                spawn = recorder.before(args, options.get("env"))
                argv, env = recorder.started_as(spawn)
                super().__init__([args[0], *argv], *rest, **{**options, "env": env})
                recorder.after(spawn, self)

        subprocess.Popen = RecordingPopen  # type: ignore[misc]
