"""Sets a subject up on a build in an environment, so that sessions can be run there."""

from harness.cells.workbench import Workbench
from harness.sessions.guarded import GuardedSession
from harness.sessions.oracle import FreshLoads, Oracle
from harness.sessions.search import Stage
from harness.sessions.servers import HostServers, Memory, RememberedServers
from harness.sessions.studio import StudioSession
from harness.sessions.surroundings import surroundings_of
from harness.subjects.unsloth import UnslothSubject


def set_stage(
    workbench: Workbench, *, subject: str, build: str, environment: str, memory: Memory
) -> Stage:
    """Acquire and open what a session needs.

    A subject that only plans gets a session around it, with the guards that come with it or else
    the reference ones. Studio runs its own.

    Raises:
        HarnessError: The build, the environment or the subject cannot be had.
    """
    surroundings = surroundings_of(workbench, build, environment)
    opened = workbench.subject(subject)
    host = HostServers(workbench, surroundings)
    remembered = RememberedServers(host, surroundings, memory)
    oracle = Oracle(FreshLoads(opened, surroundings, remembered), surroundings)
    if isinstance(opened, UnslothSubject):
        return Stage(
            capabilities=surroundings.capabilities,
            oracle=oracle,
            real=lambda: StudioSession(opened, surroundings),
            remembered=None,
        )
    return Stage(
        capabilities=surroundings.capabilities,
        oracle=oracle,
        real=lambda: GuardedSession(opened, surroundings, host),
        remembered=lambda: GuardedSession(opened, surroundings, remembered),
    )
