"""The driver's loop: one JSON line in, one JSON line out, until standard input ends."""

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from . import log as studio_log
from .spawns import Interceptor, Spawn, SpawnRecorder
from .studio import CannotDriveError, Studio, adopt_environment

_LOAD_SETTLE_S = 10.0
"""How long a load's start is waited for before Studio waits for it in its own way."""

_ABOUT_SPECULATION = ("specul", "mtp", "ngram", "draft", "--spec")


def run(answers: TextIO) -> None:
    """Serve requests; whatever Studio prints itself goes to standard error."""
    log = studio_log.StudioLog()
    studio_log.install(log)
    interceptor = Interceptor()
    try:
        driver = Driver(Studio(), interceptor, log)
    except CannotDriveError as error:
        _answer(answers, {"ready": False, "error": str(error)})
        return
    except Exception as error:  # noqa: BLE001 - a stranger's import may raise anything
        _answer(answers, {"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    try:
        for line in sys.stdin:
            _answer(answers, driver.handle(json.loads(line)))
    finally:
        driver.close()


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


class Driver:
    """One Studio, and the backend that a session keeps alive."""

    def __init__(self, studio: Studio, interceptor: Interceptor, log: studio_log.StudioLog) -> None:
        self._studio = studio
        self._interceptor = interceptor
        self._log = log
        self._session: Any = None
        self._session_spawns: list[Spawn] = []
        self._operations = {
            "plan": self.plan,
            "load": self.load,
            "unload": self.unload,
            "status": self.status,
            "guard": self.guard,
        }

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one operation; an error is an answer too."""
        operation = self._operations.get(str(request.get("op")))
        if operation is None:
            return {"error": f"unknown operation {request.get('op')!r}"}
        try:
            return operation(request)
        except CannotDriveError as error:
            return {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - Studio may raise anything
            return {"error": f"Studio raised {type(error).__name__}: {error}"}

    def plan(self, request: dict[str, Any]) -> dict[str, Any]:
        """Let a new backend load, write down what it starts, and end it.

        Studio starts a server that the harness will start again: only so are the second
        command lines seen that it tries when the first one is refused.
        """
        recorder, before = self._prepare(request, request["trial_s"], trial=True)
        backend = self._studio.backend(request["port"])
        failure = None
        loaded = False
        try:
            loaded = self._studio.load(backend, self._studio.arguments(request["wishes"]))
        except CannotDriveError:
            raise
        except Exception as error:  # noqa: BLE001
            failure = f"{type(error).__name__}: {error}"
        state = _state(backend)
        answer = self._report(recorder.spawns, before)
        self._end(backend, recorder)
        return {**answer, "loaded": loaded, "failure": failure, "state": state}

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load in the session's backend, which decides itself whether to restart its server."""
        recorder, before = self._prepare(request, _LOAD_SETTLE_S, trial=False)
        if self._session is None:
            self._session = self._studio.backend(None)
        failure = None
        loaded = False
        try:
            loaded = self._studio.load(self._session, self._studio.arguments(request["wishes"]))
        except CannotDriveError:
            raise
        except Exception as error:  # noqa: BLE001
            failure = f"{type(error).__name__}: {error}"
        self._session_spawns.extend(recorder.spawns)
        answer = self._report(recorder.spawns, before)
        return {
            **answer,
            **self.status({}),
            "loaded": loaded,
            "failure": failure,
            "reloaded": bool(recorder.spawns),
        }

    def unload(self, _request: dict[str, Any]) -> dict[str, Any]:
        """End the session's server by Studio's own means."""
        if self._session is not None:
            self._session.unload_model()
        return self.status({})

    def status(self, _request: dict[str, Any]) -> dict[str, Any]:
        """What the session's backend says of itself, and the server it runs."""
        running = [spawn for spawn in self._session_spawns if spawn.exit_status() is None]
        return {
            "state": _state(self._session),
            "server": None
            if not running
            else {"argv": running[-1].argv, "pid": running[-1].pid, "running": len(running)},
        }

    def guard(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask Studio's guards about a request, without loading anything."""
        if self._session is None:
            raise CannotDriveError("nothing was loaded yet")
        return self._studio.guard(self._session, request["wishes"])

    def close(self) -> None:
        """End whatever still runs."""
        for spawn in self._session_spawns:
            if spawn.process is not None and spawn.exit_status() is None:
                spawn.process.kill()
                spawn.process.wait()

    def _prepare(
        self, request: dict[str, Any], settle_s: float, *, trial: bool
    ) -> tuple[SpawnRecorder, dict[str, str]]:
        binary = Path(request["binary"])
        before = adopt_environment(binary)
        recorder = SpawnRecorder(binary, settle_s, trial=trial)
        self._interceptor.recorder = recorder
        self._log.take()
        return recorder, before

    def _end(self, backend: Any, recorder: SpawnRecorder) -> None:
        _keep_files(backend, recorder.spawns)
        recorder.end_all()  # an orderly shutdown costs a second, and this server has no state
        try:
            backend.unload_model()
        except Exception as error:  # noqa: BLE001 - the plan is made; only the clean-up failed
            self._log.add("warning", f"unload_model raised {error!r}")

    def _report(self, spawns: list[Spawn], before: dict[str, str]) -> dict[str, Any]:
        lines = self._log.take()
        return {
            "spawns": [
                {
                    "argv": spawn.argv,
                    "env": {k: v for k, v in spawn.env.items() if before.get(k) != v},
                    "healthy": spawn.healthy,
                    "exit": spawn.exit_status(),
                }
                for spawn in spawns
            ],
            "said": [
                text
                for level, text in lines
                if level == "warning" or "disabling speculative" in text.lower()
                if any(word in text.lower() for word in _ABOUT_SPECULATION)
            ],
            "log": [f"{level}: {text}" for level, text in lines][-40:],
        }


def _state(backend: Any) -> dict[str, Any]:
    """The speculative state that Studio keeps, as far as this version has such names."""
    values: dict[str, Any] = {}
    for name in (
        "speculative_type",
        "requested_spec_mode",
        "spec_draft_n_max",
        "is_loaded",
        "spec_fallback_reason",
    ):
        for attribute in (name, f"_{name}"):
            if hasattr(backend, attribute):
                value = getattr(backend, attribute)
                plain = isinstance(value, str | int | bool) or value is None
                values[name] = value if plain else str(value)
                break
    return values


def _keep_files(backend: Any, spawns: list[Spawn]) -> None:
    """Make Studio forget the temporary files that a plan's argv names, or it deletes them."""
    named = {part for spawn in spawns for part in spawn.argv}
    for attribute, value in list(vars(backend).items()):
        if getattr(value, "name", None) in named:
            setattr(backend, attribute, None)


def start() -> None:
    """Keep standard output for answers alone, and serve."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    run(answers)
