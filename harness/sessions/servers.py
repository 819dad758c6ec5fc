"""A session's servers: of this host, or the memory of what the same launch showed."""

from collections.abc import Collection
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from harness.cells.launching import hosted, launch_key, launched, switches
from harness.cells.workbench import Workbench
from harness.flags.arguments import read_arguments
from harness.model import Failure, LaunchPlan
from harness.server import LaunchFailedError, RunningServer
from harness.server.failure import WORTH_ANOTHER_TRY
from harness.server.http import ProtocolError
from harness.sessions.surroundings import Surroundings
from harness.settings.base import EffectiveState
from harness.settings.observation import observe
from harness.settings.state import effective_state


class LiveServer(Protocol):
    """One server that runs until it is ended, or ends."""

    @property
    def pid(self) -> int:
        """Process id."""

    def exit_status(self) -> int | None:
        """None while it runs."""

    def look(self) -> EffectiveState:
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
        plan = hosted(plan, self._surroundings.capabilities, None, port).plan
        with ExitStack() as stack:
            running = stack.enter_context(
                launched(
                    plan,
                    build=self._surroundings.build_id,
                    environment=self._surroundings.environment,
                    port=port,
                    workbench=self._workbench,
                )
            )
            arguments = read_arguments(plan.argv, self._surroundings.capabilities)
            switched_on = switches(port, arguments).keys() - plan.env.keys()
            number = self._surroundings.build_number
            return HostServer(running, stack.pop_all(), number, switched_on)


class HostServer:
    """A process of this host."""

    def __init__(
        self,
        running: RunningServer,
        resources: ExitStack,
        build_number: int | None,
        switched_on: Collection[str],
    ) -> None:
        self._running = running
        self._resources = resources
        self._build_number = build_number
        self._switched_on = switched_on

    @property
    def pid(self) -> int:
        """Process id."""
        return self._running.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._running.process.poll()

    def look(self) -> EffectiveState:
        """Observe it; see ``LiveServer``."""
        try:
            observed = observe(self._running, self._build_number, switched_on=self._switched_on)
            return effective_state(observed)
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

    launches: dict[object, EffectiveState | Failure] = field(default_factory=dict)


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

    def shown(self, plan: LaunchPlan, port: int) -> EffectiveState | Failure:
        """What the launch shows.

        Raises:
            ProtocolError: The server did not answer as a llama-server does.
            DisagreementError: The witnesses contradict each other.
        """
        plan = hosted(plan, self._surroundings.capabilities, None, port).plan
        key = launch_key(self._surroundings.build_id, self._surroundings.environment, plan, port)
        if key not in self._memory.launches:
            shown = self._launch(plan, port)
            if isinstance(shown, Failure) and shown.kind in WORTH_ANOTHER_TRY:
                return shown  # says nothing about the launch
            self._memory.launches[key] = shown
        return self._memory.launches[key]

    def _launch(self, plan: LaunchPlan, port: int) -> EffectiveState | Failure:
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

    def __init__(self, served: EffectiveState) -> None:
        self._served = served
        self._exit_status: int | None = None

    def exit_status(self) -> int | None:
        """None until it was killed or ended."""
        return self._exit_status

    def look(self) -> EffectiveState:
        """What the launch showed."""
        return self._served

    def kill(self) -> None:
        """Count as killed."""
        self._exit_status = -9

    def end(self) -> None:
        """Count as ended."""
        self._exit_status = 0
