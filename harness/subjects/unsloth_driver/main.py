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
_STATE = ("speculative_type", "requested_spec_mode", "spec_draft_n_max", "spec_fallback_reason")


def run(answers: TextIO) -> None:
    """Serve requests; whatever Studio prints itself goes to standard error."""
    log = studio_log.StudioLog()
    studio_log.install(log)
    interceptor = Interceptor()
    try:
        operations = Operations(Studio(), interceptor, log)
    except CannotDriveError as error:
        _answer(answers, {"ready": False, "error": str(error)})
        return
    except Exception as error:  # noqa: BLE001 - a stranger's import may raise anything
        _answer(answers, {"ready": False, "error": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": True})
    try:
        for line in sys.stdin:
            _answer(answers, operations.handle(json.loads(line)))
    finally:
        operations.close()


def _answer(answers: TextIO, value: dict[str, Any]) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


class Operations:
    """What can be asked of one Studio, and the backend that a session keeps alive."""

    def __init__(self, studio: Studio, interceptor: Interceptor, log: studio_log.StudioLog) -> None:
        self._studio = studio
        self._interceptor = interceptor
        self._log = log
        self._session: Any = None
        self._session_spawns: list[Spawn] = []

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do one operation; an error is an answer too."""
        operations = (self.plan, self.load, self.unload, self.status, self.guard)
        named = {operation.__name__: operation for operation in operations}
        operation = named.get(str(request.get("op")))
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
        recorder = self._record(request, request["trial_s"], trial=True)
        backend = self._studio.backend(request["port"])
        answer = {**self._load(backend, request, recorder), "state": _state(backend)}
        _keep_files(backend, recorder.spawns)
        recorder.end_all()  # an orderly shutdown costs a second, and this server has no state
        try:
            backend.unload_model()
        except Exception as error:  # noqa: BLE001 - the plan is made; only the clean-up failed
            self._log.add("warning", f"unload_model raised {error!r}")
        return answer

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Load in the session's backend, which decides itself whether to restart its server."""
        recorder = self._record(request, _LOAD_SETTLE_S, trial=False)
        if self._session is None:
            self._session = self._studio.backend(None)
        answer = self._load(self._session, request, recorder)
        self._session_spawns.extend(recorder.spawns)
        return {**answer, **self.status({}), "reloaded": bool(recorder.spawns)}

    def unload(self, _request: dict[str, Any]) -> dict[str, Any]:
        """End the session's server by Studio's own means."""
        if self._session is not None:
            self._session.unload_model()
        return self.status({})

    def status(self, _request: dict[str, Any]) -> dict[str, Any]:
        """What the session's backend says of itself, and the server it runs."""
        state = _state(self._session)
        running = [spawn for spawn in self._session_spawns if spawn.runs]
        return {
            "requested_mode": state.get("requested_spec_mode"),
            "speculative_type": state.get("speculative_type"),
            "draft_n_max": state.get("spec_draft_n_max"),
            "argv": running[-1].argv if running else None,
            "pid": running[-1].pid if running else None,
            "servers": len(running),
        }

    def guard(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask Studio's guards about a request, without loading anything."""
        if self._session is None:
            raise CannotDriveError("nothing was loaded yet")
        return self._studio.guard(self._session, request["wishes"])

    def close(self) -> None:
        """End whatever still runs."""
        for spawn in self._session_spawns:
            spawn.end()

    def _record(self, request: dict[str, Any], settle_s: float, *, trial: bool) -> SpawnRecorder:
        binary = Path(request["binary"])
        adopt_environment(binary)
        recorder = SpawnRecorder(binary, settle_s, trial=trial)
        self._interceptor.recorder = recorder
        self._log.take()
        return recorder

    def _load(
        self, backend: Any, request: dict[str, Any], recorder: SpawnRecorder
    ) -> dict[str, Any]:
        failure = None
        loaded = False
        try:
            loaded = self._studio.load(backend, self._studio.arguments(request["wishes"]))
        except CannotDriveError:
            raise
        except Exception as error:  # noqa: BLE001
            failure = f"{type(error).__name__}: {error}"
        lines = self._log.take()
        return {
            "loaded": loaded,
            "failure": failure,
            "spawns": [
                {
                    "argv": spawn.argv,
                    "env": recorder.added(spawn),
                    "healthy": spawn.healthy,
                    "hurried": spawn.hurried,
                }
                for spawn in recorder.spawns
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
    for name in _STATE:
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
