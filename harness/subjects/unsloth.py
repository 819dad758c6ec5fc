"""``unsloth==VERSION`` and ``unsloth@PATH``: the generator of Unsloth Studio, unmodified.

Studio's own ``LlamaCppBackend.load_model`` runs in an interpreter of its own, in the cell's
environment: it probes the build, looks for GPUs and starts a server; what it started is the plan.
Where the first command line is refused and Studio tries another one, as newer versions do, the
plan is the one that it settled on.
"""

import itertools
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from harness.config.memory import digest_of, digest_of_files, files_below
from harness.config.paths import expanded
from harness.errors import SubjectError
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, Mode
from harness.processes.running import usable_cores
from harness.subjects import unsloth_install
from harness.subjects.driver_process import DriverProcess

OPERATION_TIMEOUT_S: Final = 120.0
TRIAL_S: Final = 10.0
"""How long one start may take while planning; a tiny model is healthy in a tenth of a second."""

LOAD_TIMEOUT_S: Final = 660.0
"""Studio itself waits 600 s for a server to become healthy."""
DRIVERS_KEPT: Final = 4

_BOOTSTRAP: Final = (
    "import sys; sys.path[:0] = sys.argv[1:3]; from unsloth_driver import main; "
    "sys.path[:2] = sys.argv[3:]; main.start()"
)
_RESOLVED: Final = {
    None: Mode.OFF,
    "off": Mode.OFF,
    "default": Mode.AUTO,
    "draft-mtp": Mode.MTP,
    "mtp": Mode.MTP,
    "ngram-mod": Mode.NGRAM,
    "ngram-simple": Mode.NGRAM_SIMPLE,
}


@contextmanager
def open(rest: str) -> Iterator["UnslothSubject"]:  # noqa: A001 - every subject module has it
    """Open the subject.

    Args:
        rest: What follows ``unsloth`` in the subject's name: ``==VERSION`` or ``@PATH``.

    Raises:
        SubjectError: No such version or checkout, or it cannot be driven.
    """
    if rest.startswith("=="):
        backend = unsloth_install.backend_of_version(rest[2:].strip())
    elif rest.startswith("@"):
        backend = unsloth_install.backend_of_checkout(expanded(rest[1:]))
    else:
        raise SubjectError(f"unsloth{rest}: which one? Write unsloth==VERSION or unsloth@CHECKOUT")
    subject = UnslothSubject(f"unsloth{rest}", backend, unsloth_install.interpreter())
    try:
        yield subject
    finally:
        subject.close()


class UnslothSubject:
    """One version of Studio.

    Each environment has driver processes of its own: what Studio caches about GPUs, homes and
    builds cannot leak from one environment into another. Threads that plan at once have one each.
    """

    def __init__(self, name: str, backend: Path, python: Path, *, trial_s: float = TRIAL_S) -> None:
        self.name = name
        self._backend = backend
        self._python = python
        self._trial_s = trial_s
        self._idle: list[tuple[frozenset[tuple[str, str]], DriverProcess]] = []
        """Those that plan for nobody just now, the one used last at the end."""
        self._lock = threading.Lock()
        self._free = threading.Semaphore(usable_cores())

    @cached_property
    def content(self) -> str:
        """The digest of all that it is made of."""
        packages = sorted(path.name for path in self._python.parents[1].rglob("*.dist-info"))
        backend = digest_of_files(files_below(self._backend))
        return digest_of(backend, str(self._python), packages)

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        """The command line that Studio starts the server with.

        Raises:
            SubjectError: Studio cannot be driven, offers no way to ask for this, or failed
                before it started anything.
        """
        with self._free, self._driver(target.env) as driver:
            answer = driver.ask(
                "plan",
                OPERATION_TIMEOUT_S,
                binary=str(target.binary),
                port=target.port,
                trial_s=self._trial_s,
                wishes=wishes(request, target),
            )
        return plan_of(self.name, answer)

    def _start_driver(self, env: Mapping[str, str]) -> DriverProcess:
        ours = Path(__file__).parent
        paths = (ours, ours.parent / "processes", self._backend)
        command = [str(self._python), "-c", _BOOTSTRAP, *map(str, paths)]
        return DriverProcess(self.name, command, env)

    @contextmanager
    def _driver(self, env: Mapping[str, str]) -> Iterator[DriverProcess]:
        """A driver of the environment that nobody else asks; kept for the next who wants one."""
        key = frozenset(env.items())
        with self._lock:
            kept = [place for place, (of, _) in enumerate(self._idle) if of == key]
            driver = self._idle.pop(kept[-1])[1] if kept else None
        if driver is not None and not driver.alive:
            driver.close()
            driver = None
        if driver is None:
            driver = self._start_driver(env)
        try:
            yield driver
        finally:
            with self._lock:
                self._idle.append((key, driver))
                many = len(self._idle) - DRIVERS_KEPT
                given_up = [self._idle.pop(0)[1] for _ in range(many)]
            for one in given_up:
                one.close()

    @contextmanager
    def open_session(self, env: Mapping[str, str]) -> Iterator["UnslothSession"]:
        """A Studio backend that lives through a sequence of loads; ends its server on leaving."""
        driver = self._start_driver(env)
        try:
            yield UnslothSession(driver)
        finally:
            driver.close()

    def close(self) -> None:
        """End the driver processes."""
        while self._idle:
            self._idle.pop()[1].close()


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """A Studio session after one operation.

    Attributes:
        loaded: What ``load_model`` answered; None after other operations.
        reloaded: Whether the load started a server.
        argv: Of the server that runs, without the program; None where none does.
        pid: Of that server.
        servers: How many servers of this session run: 0 or 1, or Studio has lost one.
        requested_mode: Studio's canonical requested mode; None where extra arguments own it.
        speculative_type: What Studio says it resolved to (``draft-mtp``, ``ngram-mod``, ...).
        draft_n_max: The draft length that Studio remembers.
        failure: The exception that ``load_model`` raised.
    """

    loaded: bool | None = None
    reloaded: bool = False
    argv: tuple[str, ...] | None
    pid: int | None
    servers: int
    requested_mode: str | None
    speculative_type: str | None
    draft_n_max: int | None
    failure: str | None = None


class GuardAnswers(msgspec.Struct, frozen=True, kw_only=True):
    """What Studio's guards say: True for "already what this request asks for".

    Attributes:
        backend: ``_already_in_target_state``, or ``_runtime_matches_intent`` in newer versions.
        route: ``_request_matches_loaded_settings``; None in versions without it.
    """

    backend: bool | None
    route: bool | None


class UnslothSession:
    """Studio's backend under a sequence of requests; its own guard decides about reloads."""

    def __init__(self, driver: DriverProcess) -> None:
        self._driver = driver

    def load(self, request: LoadRequest, target: LaunchTarget) -> SessionState:
        """``load_model``, which starts a real server or finds the running one good enough.

        Raises:
            SubjectError: The driver ended, or Studio has no way to ask for this.
        """
        return msgspec.convert(self._ask("load", LOAD_TIMEOUT_S, request, target), SessionState)

    def unload(self) -> SessionState:
        """``unload_model``."""
        return msgspec.convert(self._driver.ask("unload", OPERATION_TIMEOUT_S), SessionState)

    def status(self) -> SessionState:
        """What Studio says, without doing anything."""
        return msgspec.convert(self._driver.ask("status", OPERATION_TIMEOUT_S), SessionState)

    def guard(self, request: LoadRequest, target: LaunchTarget) -> GuardAnswers:
        """What the guards answer to a request, without loading it."""
        answer = self._ask("guard", OPERATION_TIMEOUT_S, request, target)
        return msgspec.convert(answer, GuardAnswers)

    def _ask(
        self, operation: str, timeout_s: float, request: LoadRequest, target: LaunchTarget
    ) -> dict[str, Any]:
        asked = wishes(request, target)
        return self._driver.ask(operation, timeout_s, binary=str(target.binary), wishes=asked)


def wishes(request: LoadRequest, target: LaunchTarget) -> dict[str, Any]:
    """A load request in the words of ``load_model``; the driver finds this version's names."""
    return {
        "gguf_path": str(target.model.path),
        "model_identifier": request.model,
        "n_ctx": request.context_length,
        "speculative_type": request.mode,
        "spec_draft_n_max": request.draft_n_max,
        "cache_type_kv": request.cache_type,
        "chat_template_override": request.chat_template,
        "extra_args": list(request.extra_args) or None,
    }


def plan_of(name: str, answer: Mapping[str, Any]) -> LaunchPlan:
    """What Studio did, as a launch plan: the server it settled on, else the first it tried.

    Raises:
        SubjectError: It started no server at all.
    """
    spawns = answer["spawns"]
    if not spawns:
        raise SubjectError(
            f"{name}: Studio started no server: "
            f"{answer['failure'] or ''.join(answer['log'][-1:]) or 'load_model answered False'}"
        )
    settled = [spawn for spawn in spawns if spawn["healthy"]]
    chosen = settled[-1] if settled else spawns[0]
    argv = tuple(chosen["argv"])
    reasons = list(dict.fromkeys(answer["said"]))
    fallback = answer["state"].get("spec_fallback_reason")
    if fallback:
        reasons.append(f"Studio's fallback reason: {fallback}")
    if settled and chosen is not spawns[0]:
        refused = " ".join(spawns[0]["argv"])
        reasons.append(f"Studio first tried, and the server refused: {refused}")
    return LaunchPlan(
        argv=argv,
        env=dict(chosen["env"]),
        resolved_mode=resolved_mode(answer["state"], argv),
        reason="; ".join(re.sub(r"\s+", " ", reason) for reason in reasons) or None,
        hurried=any(spawn.get("hurried") for spawn in spawns),
    )


def resolved_mode(state: Mapping[str, Any], argv: tuple[str, ...]) -> Mode | None:
    """What Studio settled on; None where extra arguments own it, or for a word not known here."""
    if "requested_spec_mode" in state and state["requested_spec_mode"] is None:
        return None
    mode = _RESOLVED.get(state.get("speculative_type"))
    if mode is Mode.MTP and "ngram-mod" in _spec_types(argv):
        return Mode.MTP_NGRAM
    return mode


def _spec_types(argv: tuple[str, ...]) -> set[str]:
    return {
        kind
        for flag, value in itertools.pairwise(argv)
        if flag == "--spec-type"
        for kind in value.split(",")
    }
