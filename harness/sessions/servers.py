"""Where a session's servers come from: this host, or the memory of what the same launch showed.

Servers run on one thread, whatever the plan says: several that wait for each other by spinning
cost a tiny model minutes on a busy host. Everything else of the plan reaches them unchanged.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from harness.cells.running import PORT_PLACEHOLDER, listening_port, plan_on_loopback, switches
from harness.cells.workbench import Workbench
from harness.environments.hermetic import home_variables
from harness.flags.arguments import read_arguments
from harness.model import Failure, LaunchPlan
from harness.server import LaunchFailedError, RunningServer, launch
from harness.server.failure import WORTH_ANOTHER_TRY
from harness.server.http import ProtocolError
from harness.sessions.served import Served, look_at
from harness.sessions.surroundings import Surroundings

_THREAD_FLAGS: Final = frozenset({"-t", "--threads", "-tb", "--threads-batch"})


class LiveServer(Protocol):
    """One server that runs until it is ended, or ends."""

    @property
    def pid(self) -> int:
        """Process id."""

    def exit_status(self) -> int | None:
        """None while it runs."""

    def look(self) -> Served:
        """Observe it now.

        Raises:
            LaunchFailedError: It died of it.
            ProtocolError: It did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """

    def kill(self) -> None:
        """Kill it as somebody else would, behind the session's back."""

    def end(self) -> None:
        """End it with all it started, and give back what it used."""


class Servers(Protocol):
    """Starts servers."""

    def start(self, plan: LaunchPlan, port: int) -> LiveServer:
        """Start one and wait until it is healthy.

        Raises:
            LaunchFailedError: It is not; nothing of it is left.
        """


class HostServers:
    """Servers as processes of this host."""

    def __init__(self, workbench: Workbench, surroundings: Surroundings) -> None:
        self._workbench = workbench
        self._surroundings = surroundings

    def start(self, plan: LaunchPlan, port: int) -> "HostServer":
        """Start one; see ``Servers``."""
        plan, _ = plan_on_loopback(plan)
        with ExitStack() as stack:
            directory = Path(stack.enter_context(self._workbench.launch_directory()))
            variables = {
                **self._surroundings.variables,
                **home_variables(directory),
                **switches(port, read_arguments(plan.argv, self._surroundings.capabilities)),
                **plan.env,
            }
            running = stack.enter_context(
                launch(
                    self._surroundings.build.binary,
                    on_one_thread(plan.argv),
                    port=listening_port(plan.argv, variables),
                    env=variables,
                    cwd=directory,
                    health_timeout_s=self._workbench.health_timeout_s,
                )
            )
            return HostServer(running, stack.pop_all(), self._surroundings.build_number)


class HostServer:
    """A process of this host."""

    def __init__(
        self, running: RunningServer, resources: ExitStack, build_number: int | None
    ) -> None:
        self._running = running
        self._resources = resources
        self._build_number = build_number

    @property
    def pid(self) -> int:
        """Process id."""
        return self._running.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._running.process.poll()

    def look(self) -> Served:
        """Observe it; see ``LiveServer``."""
        try:
            return look_at(self._running, self._build_number)
        except ProtocolError as error:
            death = self._running.death()
            if death is None:
                raise
            raise LaunchFailedError(death) from error

    def kill(self) -> None:
        """Kill it with its group, as ``kill -9`` would; the session is not told."""
        self._running.process.kill()

    def end(self) -> None:
        """End it and give back its directory."""
        self._resources.close()


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What launches showed, by launch key; shared by all that start from the same workbench."""

    launches: dict[object, Served | Failure] = field(default_factory=dict)


class RememberedServers:
    """Starts each launch for real once, observes it, ends it, and from then on remembers.

    Two launches are the same where build, environment, variables and command line are, but for
    the port.
    """

    def __init__(self, servers: Servers, surroundings: Surroundings, memory: Memory) -> None:
        self._servers = servers
        self._surroundings = surroundings
        self._memory = memory

    def start(self, plan: LaunchPlan, port: int) -> "RememberedServer":
        """Answer as the same launch did; see ``Servers``."""
        shown = self.shown(plan, port)
        if isinstance(shown, Failure):
            raise LaunchFailedError(shown)
        return RememberedServer(shown)

    def shown(self, plan: LaunchPlan, port: int) -> Served | Failure:
        """What the launch shows.

        Raises:
            ProtocolError: The server did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """
        key = _launch_key(self._surroundings, plan, port)
        if key not in self._memory.launches:
            shown = self._launch(plan, port)
            if isinstance(shown, Failure) and shown.kind in WORTH_ANOTHER_TRY:
                return shown  # says nothing about the launch
            self._memory.launches[key] = shown
        return self._memory.launches[key]

    def _launch(self, plan: LaunchPlan, port: int) -> Served | Failure:
        try:
            server = self._servers.start(plan, port)
        except LaunchFailedError as error:
            return error.failure
        try:
            return server.look()
        except LaunchFailedError as error:
            return error.failure
        finally:
            server.end()


class RememberedServer:
    """No process: it serves what the same launch served when it was one."""

    pid = 0

    def __init__(self, served: Served) -> None:
        self._served = served
        self._exit_status: int | None = None

    def exit_status(self) -> int | None:
        """None until it was killed or ended."""
        return self._exit_status

    def look(self) -> Served:
        """What the launch showed."""
        return self._served

    def kill(self) -> None:
        """Count as killed."""
        self._exit_status = -9

    def end(self) -> None:
        """Count as ended."""
        self._exit_status = 0


def on_one_thread(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments with 1 for every number of threads."""
    before = ("", *argv)
    return tuple(
        "1" if flag in _THREAD_FLAGS else word for flag, word in zip(before, argv, strict=False)
    )


def _launch_key(surroundings: Surroundings, plan: LaunchPlan, port: int) -> object:
    return (
        surroundings.build_id,
        surroundings.environment,
        portless(plan.argv, port),
        _frozen(plan.env),
    )


def portless(argv: tuple[str, ...], port: int) -> tuple[str, ...]:
    """The arguments with a mark in the port's place."""
    return tuple(PORT_PLACEHOLDER if word == str(port) else word for word in argv)


def _frozen(variables: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(variables.items()))
