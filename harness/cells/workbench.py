"""What the cells of one run share: builds, models, capabilities, subjects, environments."""

import shutil
import tempfile
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.builds import AcquiredBuild, Catalogue, Store, load_catalogue
from harness.cells.qualification import MODELS_DIRECTORY, open_store, start_plainly
from harness.cells.remembering import RememberedVerdicts, asked_once
from harness.config.configuration import load_configuration
from harness.config.memory import FILE as MEMORY_FILE
from harness.config.memory import Memory
from harness.environments import detect_host
from harness.environments.environment import environment as open_environment
from harness.environments.hermetic import is_untouched
from harness.environments.linking import with_libraries
from harness.environments.one_core import one_core_variables
from harness.environments.server_layer import ServerLayer, server_layer
from harness.environments.spoof import Spoof
from harness.errors import (
    BuildUnavailableError,
    EnvironmentUnavailableError,
    HarnessError,
    ProbeError,
)
from harness.flags.capabilities import Capabilities, Option, probe
from harness.gguf_models import ensure_models
from harness.model import SPOOFED, Cell, Check, Failure, HostProfile, TinyModel
from harness.processes.reaper import OWNER_VARIABLE, Reaper, owned_processes
from harness.processes.variables import joined
from harness.server.devices import LIST_DEVICES, is_cuda, list_devices
from harness.server.launch import DEFAULT_HEALTH_TIMEOUT_S
from harness.settings.observation import Observation
from harness.settings.state import Seen
from harness.subjects import Subject, open_subject

REMEMBERED_LAUNCHES: Final = 64
"""Cells that share a launch are near each other."""


@dataclass(frozen=True, kw_only=True)
class OpenEnvironment:
    """An environment in use.

    Attributes:
        variables: Complete, for a process in it.
        host: The host as programs in it see it.
        home: The home of what runs in it.
        spoof: What a spoofed environment stands on, None for the others.
    """

    variables: Mapping[str, str]
    host: HostProfile
    home: Path
    spoof: Spoof | None = None


@dataclass(frozen=True, kw_only=True)
class Launched:
    """What one launch showed, without the log that it was read from.

    Attributes:
        seen: What the witnesses of each setting saw.
        log: Whether the start-up log warns of an argument.
        warnings: Every line of it that warns of something; empty where the contract demands.
        reads_config: Whether it tells of a configuration file that is read.
        startup_ms: Process start to healthy.
    """

    seen: Seen
    log: Check
    warnings: tuple[str, ...]
    reads_config: bool
    startup_ms: float


Watcher = Callable[[Cell, Observation], None]
"""Is shown what each launch of a cell let be observed, which is not kept."""


def _shown_to_nobody(_cell: Cell, _observation: Observation) -> None:
    """The usual watcher."""


class RecentLaunches(OrderedDict[object, Launched]):
    """What recent launches showed; the one that was longest of no use makes room."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit

    def __getitem__(self, key: object) -> Launched:
        self.move_to_end(key)
        return super().__getitem__(key)

    def __setitem__(self, key: object, launched: Launched) -> None:
        super().__setitem__(key, launched)
        self.move_to_end(key)
        if len(self) > self._limit:
            del self[next(iter(self))]


@dataclass(kw_only=True)
class Workbench:
    """Everything a cell needs besides itself; made by ``open_workbench``.

    Whatever costs time is done once: a build is acquired and probed once, a subject started once,
    an environment made once. ``launches`` remembers what each launch showed, so that cells whose
    subject asks for the same launch share it; it is empty and stays so where ``share_launches``
    is off. ``one_core`` holds the variables that make a server see one core. ``unavailable`` holds
    why builds cannot be had, which is asked for once; ``plain_warnings`` what a plain command line
    is warned of by build, environment and model; ``surroundings``, by build and environment, what
    the answers of a build's program depend on. ``memory`` is what earlier runs left, None where
    nothing is to be remembered; ``fresh`` makes every plan anew, ``attempt`` counts the tries of a
    cell, each of which has a plan of its own, ``verdicts`` are taken in place of launches, and
    ``planned`` counts the plans of costly subjects that were remembered or made.
    """

    catalogue: Catalogue
    store: Store
    models: Mapping[str, TinyModel]
    scratch: Path
    owner: str
    resources: ExitStack
    health_timeout_s: float = DEFAULT_HEALTH_TIMEOUT_S
    share_launches: bool = True
    one_core: Mapping[str, str] = field(default_factory=dict)
    watcher: Watcher = _shown_to_nobody
    memory: Memory | None = None
    fresh: bool = False
    attempt: int = 1
    verdicts: RememberedVerdicts | None = None
    planned: Counter[str] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)
    launches: MutableMapping[object, Launched] = field(default_factory=dict)
    unavailable: dict[str, HarnessError] = field(default_factory=dict)
    plain_warnings: dict[tuple[str, str, str], tuple[str, ...]] = field(default_factory=dict)
    surroundings: dict[tuple[str, str], object] = field(default_factory=dict)
    _builds: dict[str, AcquiredBuild] = field(default_factory=dict)
    _capabilities: dict[str, Capabilities] = field(default_factory=dict)
    _devices: dict[tuple[str, str], tuple[str, ...] | None] = field(default_factory=dict)
    _variables: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    _layers: dict[tuple[str, str], ServerLayer] = field(default_factory=dict)
    _subjects: dict[str, Subject] = field(default_factory=dict)
    _environments: dict[str, OpenEnvironment] = field(default_factory=dict)
    _spare_directories: list[str] = field(default_factory=list)

    def build(self, build_id: str) -> AcquiredBuild:
        """The runnable build.

        Raises:
            UnknownBuildError: The catalogue has no such build.
            BuildUnavailableError: No source of it works here.
        """
        if build_id in self.unavailable:
            raise self.unavailable[build_id]
        if build_id not in self._builds:
            try:
                self._builds[build_id] = self.store.acquire(self.catalogue.get(build_id))
            except HarnessError as error:
                self.unavailable[build_id] = error
                raise
        return self._builds[build_id]

    def capabilities(self, build_id: str, environment: str = "cpu") -> Capabilities:
        """What the build accepts, probed once where it starts at all.

        A server that is linked against a driver starts only where there is one: it is asked in the
        environment given, any other in ``cpu``.

        Raises:
            ProbeError: It does not answer ``--help``.
            EnvironmentUnavailableError: It is linked against what is not there.
        """
        if build_id not in self._capabilities:
            try:
                options = self._options(build_id, "cpu")
            except (ProbeError, EnvironmentUnavailableError):
                if environment == "cpu":
                    raise
                options = self._options(build_id, environment)
            self._capabilities[build_id] = Capabilities(options)
        return self._capabilities[build_id]

    def _options(self, build_id: str, environment: str) -> tuple[Option, ...]:
        """What a build's help lists."""

        def ask() -> tuple[Option, ...]:
            return probe(self.build(build_id).binary, self.variables(build_id, environment)).options

        place = build_id, environment
        return asked_once("help", place, self, ask, tuple[Option, ...])

    def devices(self, build_id: str, environment: str) -> tuple[str, ...] | None:
        """What the server lists to compute on in an environment, asked once; None if it is silent.

        Devices that a spoof made it list are marked.

        Raises:
            ProbeError: It does not answer ``--help``.
        """
        key = (build_id, environment)
        if key not in self._devices:
            offered = self.capabilities(build_id, environment).offers(LIST_DEVICES)

            def ask() -> tuple[str, ...] | None:
                listed = list_devices(self.build(build_id).binary, self.server_variables(*key))
                if listed is None:
                    return None
                pretended = bool(self.layer(*key).variables)
                return tuple(
                    f"{one}{SPOOFED if pretended and is_cuda(one.name) else ''}" for one in listed
                )

            self._devices[key] = (
                asked_once("devices", key, self, ask, tuple[str, ...]) if offered else None
            )
        return self._devices[key]

    def variables(self, build_id: str, environment: str) -> Mapping[str, str]:
        """The variables of a build's server in an environment, its libraries looked up once.

        Raises:
            EnvironmentUnavailableError: The environment lacks libraries that the program is linked
                against; the message names them all.
        """
        key = (build_id, environment)
        if key not in self._variables:
            build = self.build(build_id)
            wanted = joined(self.environment(environment).variables, build.env)
            self._variables[key] = with_libraries(build_id, build.binary, environment, wanted)
        return self._variables[key]

    def layer(self, build_id: str, environment: str) -> ServerLayer:
        """A build's server as an environment has it start, made once.

        Raises:
            EnvironmentUnavailableError: As ``variables``.
        """
        key = (build_id, environment)
        if key not in self._layers:
            build, spoof = self.build(build_id), self.environment(environment).spoof
            self._layers[key] = (
                server_layer(spoof, build, self.variables(build_id, environment))
                if spoof is not None
                else ServerLayer(program=build.binary)
            )
        return self._layers[key]

    def server_variables(self, build_id: str, environment: str) -> Mapping[str, str]:
        """The variables of a process of the build's own program, and of no other.

        Raises:
            EnvironmentUnavailableError: As ``variables``.
        """
        added = self.layer(build_id, environment).variables
        return joined(self.variables(build_id, environment), added)

    def start_plainly(self, build_id: str, environment: str) -> Failure | None:
        """Why the build does not start with a plain command line just now; None where it does.

        Raises:
            HarnessError: Build or environment cannot be had.
        """
        with self.launch_directory() as directory:
            return start_plainly(
                self.build(build_id).binary,
                self.server_variables(build_id, environment),
                directory=Path(directory),
                models=self.store.root / MODELS_DIRECTORY,
                health_timeout_s=self.health_timeout_s,
            )

    def subject(self, spec: str) -> Subject:
        """The subject, opened once; ``spec`` is that of ``open_subject`` or an added one's name.

        Raises:
            UsageError: No such kind of subject.
            SubjectError: It cannot be opened.
        """
        if spec not in self._subjects:
            self._subjects[spec] = self.resources.enter_context(open_subject(spec))
        return self._subjects[spec]

    def add_subject(self, subject: Subject) -> None:
        """Make an in-process subject known by its name, in place of any of that name."""
        self._subjects[subject.name] = subject

    def environment(self, name: str) -> OpenEnvironment:
        """The environment, opened once.

        Raises:
            EnvironmentUnavailableError: This host cannot provide it.
        """
        if name not in self._environments:
            home = Path(tempfile.mkdtemp(prefix="environment-", dir=self.scratch))
            opened = self.resources.enter_context(open_environment(name, home=home))
            owned = {**opened.variables, OWNER_VARIABLE: self.owner}
            host = detect_host(owned)
            if opened.shows_card and not host.has_gpu:
                raise EnvironmentUnavailableError(
                    f"this host did not show the card of {name}: {host.note}"
                )
            self._environments[name] = OpenEnvironment(
                variables=owned, host=host, home=home, spoof=opened.spoof
            )
        return self._environments[name]

    def open_quietly(self, environment: str) -> None:
        """Open an environment once for several threads; who needs it is told why it cannot be."""
        with suppress(HarnessError):
            self.environment(environment)

    def stop(self) -> None:
        """End every server that runs, and start no other."""
        import psutil

        self.stopped.set()
        for process in owned_processes(self.owner):
            with suppress(psutil.Error):
                process.kill()

    @contextmanager
    def launch_directory(self) -> Iterator[str]:
        """A home and working directory for one launch.

        One that a launch left as it found it is given to the next: making and removing a dozen
        directories may cost as much as a server's start.
        """
        try:
            directory = self._spare_directories.pop()
        except IndexError:
            directory = tempfile.mkdtemp(prefix="launch-", dir=self.scratch)
        try:
            yield directory
        finally:
            if is_untouched(Path(directory)):
                self._spare_directories.append(directory)
            else:
                shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def open_workbench(
    *,
    catalogue: Catalogue | None = None,
    store: Store | None = None,
    health_timeout_s: float | None = None,
    share_launches: bool = True,
    unavailable: Mapping[str, str] | None = None,
    memory: Memory | None = None,
    verdicts: RememberedVerdicts | None = None,
    fresh: bool = False,
) -> Iterator[Workbench]:
    """Make a workbench, and give back all that its cells took.

    Args:
        catalogue: The builds; the user's catalogue if None.
        store: Where acquired builds are; the user's store if None.
        health_timeout_s: Longest wait for health, in seconds; the configured one if None.
        share_launches: Whether cells that ask for the same launch share it.
        unavailable: Why builds cannot be had, by id, where that is known already.
        memory: What earlier runs left; the store's if None.
        verdicts: Verdicts of earlier runs, to be taken in place of launches; None for none.
        fresh: Whether every plan is made anew.

    Raises:
        ConfigurationError: The configuration is wrong.
        CatalogueError: A catalogue file is wrong.
        StoreError: The store cannot be used.
    """
    with ExitStack() as resources:
        store = store or open_store()
        scratch = Path(
            resources.enter_context(
                tempfile.TemporaryDirectory(prefix="llama-harness-", ignore_cleanup_errors=True)
            )
        )
        reaper = resources.enter_context(Reaper())
        if memory is None:
            memory = resources.enter_context(closing(Memory(store.root / MEMORY_FILE)))
        yield Workbench(
            catalogue=catalogue or load_catalogue(),
            store=store,
            models=ensure_models(store.root / MODELS_DIRECTORY),
            scratch=scratch,
            owner=reaper.token,
            resources=resources,
            health_timeout_s=health_timeout_s or load_configuration().settings.health_timeout,
            share_launches=share_launches,
            launches=RecentLaunches(REMEMBERED_LAUNCHES),
            one_core=one_core_variables(),
            memory=memory,
            verdicts=verdicts,
            fresh=fresh,
            unavailable={
                build: BuildUnavailableError(reason)
                for build, reason in (unavailable or {}).items()
            },
        )
