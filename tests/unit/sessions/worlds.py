"""A session's world without processes: servers that serve what their command line says."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.builds import AcquiredBuild, load_catalogue
from harness.builds.manifest import Manifest
from harness.errors import SubjectError
from harness.flags.capabilities import Capabilities, parse_help
from harness.model import (
    DraftRange,
    Failure,
    FailureKind,
    HostProfile,
    LaunchPlan,
    LaunchTarget,
    LoadRequest,
    Speculation,
    TinyModel,
)
from harness.server import LaunchFailedError
from harness.sessions.guarded import GuardedSession
from harness.sessions.oracle import FreshLoads, Oracle
from harness.sessions.search import Stage
from harness.sessions.servers import Memory, RememberedServers
from harness.sessions.surroundings import Surroundings
from harness.settings.base import EffectiveState
from harness.subjects.reference.guards import Guards
from harness.subjects.reference.model_facts import ModelFacts
from harness.subjects.reference.variants import variant

HELP = Path(__file__).parents[3] / "fixtures" / "help"
BUILD = "b9246"
BILLION = 10**9


@functools.cache
def capabilities() -> Capabilities:
    return parse_help((HELP / f"{BUILD}.txt").read_text(encoding="utf-8"))


def model(name: str, *, has_mtp: bool, billions: int) -> TinyModel:
    return TinyModel(
        name=name,
        path=Path(f"/models/{name}.gguf"),
        has_mtp=has_mtp,
        parameters=billions * BILLION,
        draft_path=Path("/models/draft.gguf"),
    )


MODELS = {
    one.name: one
    for one in (
        model("tiny-mtp", has_mtp=True, billions=4),
        model("tiny-llama", has_mtp=False, billions=8),
        model("tiny-mtp-1b", has_mtp=True, billions=1),
    )
}


@functools.cache
def surroundings() -> Surroundings:
    binary = Path("/builds/llama-server")
    return Surroundings(
        build=AcquiredBuild(
            build=load_catalogue().get(BUILD),
            binary=binary,
            env={},
            manifest=Manifest(
                build=BUILD,
                number=9246,
                source="local",
                asset=str(binary),
                sha256="",
                binary=str(binary),
                env={},
                details={},
                reported_version="",
                seconds=0.0,
                acquired=datetime(2026, 1, 1, tzinfo=UTC),
                files={},
            ),
        ),
        environment="cpu",
        capabilities=capabilities(),
        variables={},
        host=HostProfile(),
        models=MODELS,
    )


class Planner:
    """A reference subject that is told the capabilities instead of probing for them."""

    def __init__(self, rest: str = "", guards: Guards | None = None) -> None:
        self._reference = variant(rest)
        self.name = self._reference.name
        self.guards = guards or self._reference.guards
        self._capabilities = capabilities()

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        return self._reference.plan_for(
            request,
            target,
            capabilities=self._capabilities,
            host=HostProfile(),
            model=ModelFacts(has_mtp=target.model.has_mtp, parameters=target.model.parameters),
        )


@dataclass
class PaperServer:
    """Serves what its arguments say."""

    pid: int
    served: EffectiveState
    status: int | None = None

    def exit_status(self) -> int | None:
        return self.status

    def look(self) -> EffectiveState:
        return self.served

    def kill(self) -> None:
        self.status = -9

    def end(self) -> None:
        if self.status is None:
            self.status = 0


@dataclass
class PaperServers:
    """Starts them, and remembers all."""

    before_start: Callable[[LaunchPlan, int], None] = lambda _plan, _port: None
    started: list[PaperServer] = field(default_factory=list)

    def start(self, plan: LaunchPlan, port: int) -> PaperServer:
        self.before_start(plan, port)
        server = PaperServer(pid=len(self.started) + 1, served=served(plan.argv))
        self.started.append(server)
        return server

    def running(self) -> list[PaperServer]:
        return [server for server in self.started if server.status is None]


def failing(kind: FailureKind) -> LaunchFailedError:
    return LaunchFailedError(Failure(kind=kind, message=f"it fails: {kind}"))


def served(argv: Sequence[str]) -> EffectiveState:
    def value(flag: str, default: str) -> str:
        return argv[argv.index(flag) + 1] if flag in argv else default

    types = [name for name in value("--spec-type", "none").split(",") if name != "none"]
    length = int(value("--spec-draft-n-max", "3"))
    of_length = DraftRange(n_min=0, n_max=length)
    implementations = {
        name: DraftRange(n_min=48, n_max=64) if name == "ngram-mod" else of_length for name in types
    }
    return {
        "speculation": Speculation(implementations=implementations),
        "model": Path(value("-m", "")).stem,
        "context": int(value("-c", "0")),
        "cache_type_k": value("--cache-type-k", "f16"),
    }


def session(planner: Planner | None = None, servers: PaperServers | None = None) -> GuardedSession:
    return GuardedSession(planner or Planner(), surroundings(), servers or PaperServers())


def stage(planner: Planner, servers: PaperServers | None = None) -> Stage:
    where = surroundings()
    paper = servers or PaperServers()
    fresh = RememberedServers(PaperServers(), where, Memory())
    return Stage(
        capabilities=where.capabilities,
        oracle=Oracle(FreshLoads(planner, where, fresh), where),
        real=lambda: GuardedSession(planner, where, paper),
        remembered=lambda: GuardedSession(planner, where, fresh),
    )


class Refusing(Planner):
    """Refuses draft length 13, as an application refuses what it cannot do."""

    def plan(self, request: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        if request.draft_n_max == 13:
            raise SubjectError("13 is refused")
        return super().plan(request, target)
