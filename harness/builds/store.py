"""The store: where acquired builds live, safe for many processes at once."""

import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib import import_module
from pathlib import Path

import msgspec

from harness.builds.catalogue import (
    Build,
    ContainerImage,
    EmulatedServer,
    GitReference,
    LocalBinary,
    Origin,
    PackageFile,
    is_compiled,
)
from harness.builds.headers import FOLDER, HEADERS, NO_HEADERS, WITHOUT, fetched_headers, headers_of
from harness.builds.hosts import HostFingerprint, host_fingerprint
from harness.builds.locations import CACHE_VARIABLE, cache_root
from harness.builds.manifest import (
    OWN_OPTIONS,
    Manifest,
    Qualification,
    digests,
    options_text,
    read_manifest,
    write_manifest,
)
from harness.builds.platforms import Platform, this_platform
from harness.builds.sources.base import Delivery, HasArchives, Source, Turn, Workspace
from harness.config.configuration import load_configuration
from harness.config.paths import entries, is_file, take_place
from harness.errors import (
    BuildUnavailableError,
    CompileError,
    HarnessError,
    SourceUnavailableError,
    StoreError,
    UnqualifiedError,
)
from harness.model import SourceKind
from harness.processes.running import CancelledError, ask_server
from harness.terminal import Progress

SourceFactory = Callable[[SourceKind], Source]

Qualifier = Callable[[Build, Path, Mapping[str, str]], str]
"""Tries a build's program with the variables that it needs, on this host.

Returns why it could not be tried; empty where it runs. Raises UnqualifiedError where it does not.
"""

_PLAIN = frozenset({"PATH", "SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "TMPDIR", "TMP", "TEMP"})
"""The variables that a program needs in order to say its version."""

HOSTS_KEPT = 8
"""How many hosts a manifest remembers, the newest ones."""

AT_ONCE = 4
"""Builds that are acquired side by side.

Of one that waits for its compile some 90 MB of sources lie unpacked.
"""

_LOCK_POLL_S = 0.1


@dataclass(frozen=True, kw_only=True)
class AcquiredBuild:
    """A build that can be run here.

    Attributes:
        build: What the catalogue says of it.
        binary: The program.
        env: Variables it needs.
        manifest: How it came here.
        headers: The directory with ggml's headers of it, or why there is none.
    """

    build: Build
    binary: Path
    env: Mapping[str, str]
    manifest: Manifest
    headers: Path | str = "nobody has looked for its headers"


class Store:
    """A directory of acquired builds.

    Any number of processes may use one at once. A build appears in it whole or not at all; what a
    killed process left behind is removed by the next one that wants the same build.
    """

    def __init__(
        self,
        root: Path | None = None,
        *,
        qualifier: Qualifier,
        platform: Platform | None = None,
        sources: SourceFactory | None = None,
        extract: bool = False,
    ) -> None:
        """Name a store; nothing is touched yet.

        Args:
            root: Its directory; ``LLAMA_HARNESS_CACHE`` or the user's cache directory if None.
            qualifier: Tries whether a build runs here; no build is handed out untried.
            platform: The machine that builds must run on; this one if None.
            sources: Gives the source of each kind; the real ones if None.
            extract: Copy programs out of container images instead of running containers.
        """
        self.root = root or cache_root()
        self.platform = platform or this_platform()
        self._qualifier = qualifier
        self._tried: dict[str, Qualification] = {}
        self._extract = extract
        self._sources = sources or default_sources()

    @cached_property
    def host(self) -> HostFingerprint:
        """The host that builds are qualified for."""
        return host_fingerprint()

    def directory(self, build_id: str) -> Path:
        """Return where a build lives, or would live."""
        return self.root / "builds" / build_id

    @property
    def packed(self) -> Path:
        """Return where archives from bundles lie, for builds that are compiled from them."""
        return self.root / "packed"

    @property
    def compilers(self) -> Path:
        """Return where fetched compilers are kept."""
        return self.root / "compilers"

    def ready(self, build: Build) -> AcquiredBuild | None:
        """Return a build if the store holds it and it is known to run on this host."""
        acquired = self.find(build)
        return acquired if acquired is not None and self._runs_here(acquired) else None

    def find(self, build: Build) -> AcquiredBuild | None:
        """Return a build if the store holds it as the catalogue describes it, runs it here or not.

        ``qualification`` tells which.
        """
        directory = self.directory(build.id)
        manifest = read_manifest(directory)
        if manifest is None or not any(matches(origin, manifest) for origin in build.sources):
            return None
        binary = directory / manifest.binary
        if not is_file(binary):
            return None
        if manifest.source == "local" and not _is_unchanged(binary, manifest):
            return None
        if manifest.source == "image" and not self._runs_as_wanted(manifest):
            return None
        return AcquiredBuild(
            build=build,
            binary=binary,
            env={
                name: value.replace("{directory}", str(directory))
                for name, value in manifest.env.items()
            },
            manifest=manifest,
            headers=headers_of(directory, manifest),
        )

    def acquire(
        self,
        build: Build,
        *,
        progress: Progress | None = None,
        order: Sequence[SourceKind] = (),
        cancelled: threading.Event | None = None,
        again: bool = False,
        anew: bool = False,
    ) -> AcquiredBuild:
        """Return a runnable build, from the store or from the first source that works here.

        Args:
            build: Which one.
            progress: Where to show what happens.
            order: Kinds of source to use, in this order; if empty the configured ones, else the
                catalogue's order.
            cancelled: Ends the work when set.
            again: Whether to look once more for headers that could not be had.
            anew: Whether to make it though the store holds it; that one stays until then.

        Raises:
            BuildUnavailableError: No source works here; the message says why for each.
            CompileError: Its only source does not compile.
            DigestMismatchError: Fetched bytes are not the pinned ones.
            StoreError: The store cannot be read or written.
            CancelledError: ``cancelled`` was set.
        """
        progress = progress or Progress()
        cancelled = cancelled or threading.Event()
        with self._readable_errors():
            acquired = None if anew else self.ready(build)
            if acquired is None:
                with self._lock_unless_read_only(build, progress, cancelled):
                    if anew or self.ready(build) is None:
                        stored = None if anew else self.find(build)
                        if stored is None or self.requalify(stored).refusal:
                            wanted = order or _configured(build)
                            self._make(build, progress, wanted, cancelled, stored)
                    acquired = self.find(build)
                    again = False  # what is just made has been looked through
            if acquired is not None:
                acquired = self._with_headers(acquired, progress, cancelled, again=again)
            if acquired is None:
                raise StoreError(
                    f"{self.directory(build.id)} vanished while it was read: is another program "
                    "clearing the cache?"
                )
            # Last use, for the one that clears the store; a read-only store is still of use.
            with suppress(OSError):
                os.utime(self.directory(build.id))
        return acquired

    def fetch(
        self,
        build: Build,
        *,
        progress: Progress | None = None,
        cancelled: threading.Event | None = None,
    ) -> Path | None:
        """Download what a build will be compiled from; its archive, None where that is not needed.

        Acquiring the build then takes no time for the network, and removes the archive.

        Raises:
            BuildUnavailableError: It cannot be had; the message says why.
            DigestMismatchError: Fetched bytes are not the pinned ones.
            StoreError: The store cannot be read or written.
            CancelledError: ``cancelled`` was set before it began.
        """
        from harness.builds.sources.package import packed_archive

        progress = progress or Progress()
        cancelled = cancelled or threading.Event()
        origin, source = build.sources[0], self._sources(build.sources[0].kind)
        if not isinstance(origin, PackageFile) or not isinstance(source, HasArchives):
            return None
        with (
            self._readable_errors(),
            self._lock(build.id, progress, cancelled),
            self.scratch_of(build.id) as work,
        ):
            if self.find(build) is not None or packed_archive(self.packed, origin):
                return None
            try:
                return source.fetch(origin, self._workspace(work, progress, cancelled))
            except SourceUnavailableError as error:
                raise BuildUnavailableError(f"{build.id}: {error}") from error

    def qualification(self, acquired: AcquiredBuild) -> Qualification | None:
        """What came of trying a stored build on this host; None where nobody has."""
        return self._tried.get(acquired.build.id) or acquired.manifest.qualification(self.host)

    def requalify(self, acquired: AcquiredBuild) -> Qualification:
        """Try a stored build on this host and remember what came of it.

        Raises:
            BuildUnavailableError: What keeps it from running may pass.
        """
        build, manifest = acquired.build, acquired.manifest
        try:
            untried = self._qualifier(build, acquired.binary, acquired.env)
            found = self._qualification(untried=untried)
        except UnqualifiedError as refused:
            if refused.passing:
                raise BuildUnavailableError(
                    f"{build.id}: it is in the store, and cannot be tried now: {refused}"
                ) from refused
            found = self._qualification(refusal=str(refused))
        self._tried[build.id] = found
        others = [one for one in manifest.qualified if one.host != self.host]
        kept = (*others, found)[-HOSTS_KEPT:]
        with suppress(OSError):  # a store that is only read
            write_manifest(
                self.directory(build.id), msgspec.structs.replace(manifest, qualified=kept)
            )
        return found

    def _runs_here(self, acquired: AcquiredBuild) -> bool:
        if acquired.build.emulated:
            return True
        known = self.qualification(acquired)
        return known is not None and not known.refusal

    def _qualification(self, *, refusal: str = "", untried: str = "") -> Qualification:
        now = datetime.now(UTC).replace(microsecond=0)
        return Qualification(host=self.host, at=now, refusal=refusal, untried=untried)

    def acquire_all(
        self,
        builds: Sequence[Build],
        *,
        progress: Progress | None = None,
        order: Sequence[SourceKind] = (),
        cancelled: threading.Event | None = None,
        again: bool = False,
        anew: bool = False,
    ) -> Iterator[tuple[Build, AcquiredBuild | HarnessError]]:
        """Acquire several builds, downloads beside compiles, and yield each as it is done.

        Only one compile runs at a time, on all cores, while the next is made ready.
        Closing the iterator, or an exception such as KeyboardInterrupt, ends all that is under way
        before it is passed on.
        """
        if not builds:
            return
        cancelled = cancelled or threading.Event()
        at_once = min(len(builds), AT_ONCE)
        with ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="acquire") as pool:
            try:
                futures = {
                    pool.submit(
                        self.acquire,
                        build,
                        progress=progress,
                        order=order,
                        cancelled=cancelled,
                        again=again,
                        anew=anew,
                    ): build
                    for build in builds
                }
                for future in as_completed(futures):
                    try:
                        yield futures[future], future.result()
                    except HarnessError as error:
                        yield futures[future], error
            except BaseException:
                cancelled.set()
                raise

    def scratch(self) -> Path:
        """Return a directory for temporary ones, on the same file system as the builds."""
        with self._readable_errors():
            return self._made("tmp")

    def put(self, build_id: str, directory: Path) -> None:
        """Move a finished directory into the store as a build, in place of any that is there."""
        with self._readable_errors(), self.workspace(build_id) as work:
            self._put(build_id, directory, work)

    @contextmanager
    def workspace(
        self,
        name: str,
        *,
        progress: Progress | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[Path]:
        """A directory on the file system of the builds, removed with the context.

        One of each name exists at a time; for a build's id its holder is the one who makes it.
        """
        progress, cancelled = progress or Progress(), cancelled or threading.Event()
        with ExitStack() as held:
            with self._readable_errors():
                held.enter_context(self._lock(name, progress, cancelled))
                self._remove_leftovers_of(name)
                work = held.enter_context(self.scratch_of(name))
            yield work

    @contextmanager
    def scratch_of(self, name: str) -> Iterator[Path]:
        """The same for a caller that holds the lock of this name already."""
        work = Path(tempfile.mkdtemp(prefix=f"{name}~", dir=self.scratch()))
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Remove what killed processes left in workspaces that none is at work in now."""
        for name in {path.name.partition("~")[0] for path in self.scratch().glob("*~*")}:
            with self.try_lock(name) as locked:
                if locked:
                    self._remove_leftovers_of(name)

    def add_to_catalogue(self, build_id: str, text: str) -> Path:
        """Write a catalogue file beside the builds and return it."""
        with self._readable_errors():
            file = self._made("catalogue") / f"{build_id}.toml"
            part = file.with_suffix(f".{os.getpid()}.part")
            try:
                part.write_text(text, encoding="utf-8", newline="\n")
                take_place(part, file)
            finally:
                part.unlink(missing_ok=True)
        return file

    @contextmanager
    def try_lock(self, build_id: str) -> Iterator[bool]:
        """Hold a build's lock while the context is open; False where another process has it."""
        import filelock

        with ExitStack() as held:
            with self._readable_errors():
                lock = filelock.FileLock(self._made("locks") / f"{build_id}.lock")
                with suppress(filelock.Timeout):
                    held.enter_context(lock.acquire(timeout=0))
            yield lock.is_locked

    def _make(
        self,
        build: Build,
        progress: Progress,
        order: Sequence[SourceKind],
        cancelled: threading.Event,
        refused: AcquiredBuild | None,
    ) -> None:
        """Acquire a build whose lock is held.

        Args:
            build: Which one.
            progress: Where to show what happens.
            order: Kinds of source to use, in this order; the catalogue's order if empty.
            cancelled: Ends the work when set.
            refused: What the store holds of it and does not run here.
        """
        self._remove_leftovers_of(build.id)
        self.remove_leftovers()
        start = time.monotonic()
        reasons: list[HarnessError] = []
        if refused and (known := self.qualification(refused)):
            held = f"{refused.manifest.source} {refused.manifest.asset}"
            reasons.append(
                UnqualifiedError(
                    f"what the store holds, {held}, does not run on this host: {known.refusal}"
                )
            )
        origins = _in_order(build.sources, order)
        for origin in origins:
            if refused and not is_compiled(origin) and matches(origin, refused.manifest):
                continue  # it would only give the same program again
            last = origin is origins[-1]
            try:
                self._take(build, origin, progress, cancelled, alone=last, start=start)
            except UnqualifiedError as error:
                reasons.append(_named(origin, error))
                if not last:
                    progress.note(f"{build.id}: {reasons[-1]}; trying the next source")
            except (SourceUnavailableError, CompileError) as error:
                reasons.append(error)
            else:
                return
        raise _unavailable(build, order, reasons)

    def _take(
        self,
        build: Build,
        origin: Origin,
        progress: Progress,
        cancelled: threading.Event,
        *,
        alone: bool,
        start: float,
    ) -> None:
        """Put into the store what one source delivers."""
        with self.scratch_of(build.id) as work:
            workspace = self._workspace(work, progress, cancelled, alone=alone)
            output = workspace.output
            delivery = self._sources(origin.kind).deliver(build, origin, workspace)
            manifest = self._manifest(build, origin, delivery, output, start)
            write_manifest(output, manifest)
            self._put(build.id, output, work)
            for archive in delivery.spent:
                archive.unlink(missing_ok=True)
            _tell_version(build, manifest, progress)

    def _workspace(
        self, work: Path, progress: Progress, cancelled: threading.Event, *, alone: bool = True
    ) -> Workspace:
        output = work / "output"
        output.mkdir()
        return Workspace(
            output=output,
            scratch=work,
            downloads=self._made("downloads"),
            compilers=self.compilers,
            packed=self.packed,
            platform=self.platform,
            progress=progress,
            turn=lambda: Turn(
                lambda: self._lock("@prepare", progress, cancelled),
                lambda: self._lock("@compile", progress, cancelled),
            ),
            shared=lambda name: self.workspace(name, progress=progress, cancelled=cancelled),
            extract=self._extract,
            alone=alone,
            cancelled=cancelled,
        )

    def _with_headers(
        self,
        acquired: AcquiredBuild,
        progress: Progress,
        cancelled: threading.Event,
        *,
        again: bool,
    ) -> AcquiredBuild | None:
        """The build with its headers beside it, if it came without and they can be had."""
        if not _lacks_headers(acquired.manifest, again=again):
            return acquired
        build, place = acquired.build, self.directory(acquired.build.id)
        with suppress(OSError), self._lock(build.id, progress, cancelled):  # or is only read
            manifest = read_manifest(place)
            if manifest is None or not _lacks_headers(manifest, again=again):
                return self.find(build)
            with self.scratch_of(build.id) as work:
                workspace = self._workspace(work, progress, cancelled)
                told = fetched_headers(build, self._sources("package"), workspace)
                details = {
                    name: text for name, text in manifest.details.items() if name != NO_HEADERS
                }
                files = digests(workspace.output)
                shutil.rmtree(place / FOLDER, ignore_errors=True)  # of one that was killed here
                for entry in entries(workspace.output):
                    entry.replace(place / entry.name)
            write_manifest(
                place,
                msgspec.structs.replace(
                    manifest, details={**details, **told}, files={**manifest.files, **files}
                ),
            )
        return self.find(build)

    def _manifest(
        self, build: Build, origin: Origin, delivery: Delivery, output: Path, start: float
    ) -> Manifest:
        """Try what a source delivered, and describe it.

        Raises:
            UnqualifiedError: It does not run on this host.
        """
        local = isinstance(origin, LocalBinary)
        place = str(output)
        env = {name: text.replace("{directory}", place) for name, text in delivery.env.items()}
        files = {} if local else digests(output)
        binary = delivery.binary
        qualified: tuple[Qualification, ...] = ()
        if origin.kind != "emulated":
            qualified = (self._qualification(untried=self._qualifier(build, binary, env)),)
        return Manifest(
            build=build.id,
            number=build.number,
            source=origin.kind,
            asset=delivery.asset,
            sha256=delivery.sha256,
            binary=str(binary) if local else binary.relative_to(output).as_posix(),
            env=dict(delivery.env),
            details={name: value for name, value in delivery.details.items() if value},
            reported_version=reported_version(binary, env),
            seconds=round(time.monotonic() - start, 2),
            acquired=datetime.now(UTC).replace(microsecond=0),
            files=files,
            qualified=qualified,
        )

    @contextmanager
    def _lock_unless_read_only(
        self, build: Build, progress: Progress, cancelled: threading.Event
    ) -> Iterator[None]:
        """Hold a build's lock; where the store can only be read, a stored build needs none."""
        with ExitStack() as held:
            try:
                held.enter_context(self._lock(build.id, progress, cancelled))
            except OSError:
                if self.find(build) is None:
                    raise
            yield

    def _put(self, build_id: str, output: Path, work: Path) -> None:
        place = self.directory(build_id)
        self._made("builds")
        if place.exists():
            take_place(place, work / "replaced")
        take_place(output, place)
        self._tried.pop(build_id, None)

    def _remove_leftovers_of(self, name: str) -> None:
        """Remove what a process that held the lock of this name left when it was killed."""
        for path in (self.root / "tmp").glob(f"{name}~*"):
            shutil.rmtree(path, ignore_errors=True)

    def _runs_as_wanted(self, manifest: Manifest) -> bool:
        from harness.builds.sources.image import INTERPRETER

        interpreter = manifest.details.get(INTERPRETER)
        return interpreter is None or (not self._extract and is_file(Path(interpreter)))

    def _made(self, name: str) -> Path:
        directory = self.root / name
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    @contextmanager
    def _lock(self, name: str, progress: Progress, cancelled: threading.Event) -> Iterator[None]:
        import filelock

        lock = filelock.FileLock(self._made("locks") / f"{name}.lock")
        told = False
        while True:
            if cancelled.is_set():
                raise CancelledError
            try:
                lock.acquire(timeout=1 if told else _LOCK_POLL_S, poll_interval=_LOCK_POLL_S)
            except filelock.Timeout:
                if not told and not name.startswith("@"):
                    progress.note(f"{name}: another process is acquiring it, waiting")
                told = True
            else:
                break
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(
                f"the store at {self.root} cannot be used: {error.strerror or error}"
                f"{f' ({error.filename})' if error.filename else ''}; choose another directory "
                f"with {CACHE_VARIABLE}"
            ) from error


def default_sources() -> SourceFactory:
    """Return what gives the real source of each kind, made when it is first needed.

    They bring heavy imports (HTTP, containers); a warm store must answer without them.
    """
    made: dict[SourceKind, Source] = {}
    guard = threading.Lock()

    def source(kind: SourceKind) -> Source:
        with guard:
            if kind not in made:
                module = import_module(f"harness.builds.sources.{kind}")
                made[kind] = getattr(module, f"{kind.capitalize()}Source")()
            return made[kind]

    return source


def _lacks_headers(manifest: Manifest, *, again: bool) -> bool:
    """Whether a stored build's headers are still to be looked for."""
    if manifest.source in WITHOUT or HEADERS in manifest.details:
        return False
    return again or NO_HEADERS not in manifest.details


def _named(origin: Origin, reason: UnqualifiedError) -> UnqualifiedError:
    """The refusal of a source, with what it gave."""
    names = ("file", "tag", "ref", "reference", "path")
    what = next(getattr(origin, name) for name in names if hasattr(origin, name))
    return UnqualifiedError(f"{origin.kind} {what} does not run on this host: {reason}")


def _configured(build: Build) -> Sequence[SourceKind]:
    """The configured order of sources; an emulated build has only one source, and no choice."""
    return () if build.emulated else load_configuration().settings.sources


def _in_order(origins: Sequence[Origin], order: Sequence[SourceKind]) -> list[Origin]:
    if not order:
        return list(origins)
    return [origin for kind in order for origin in origins if origin.kind == kind]


def matches(origin: Origin, manifest: Manifest) -> bool:
    """Whether a manifest's build is one that this origin would give."""
    options = options_text(getattr(origin, "options", {}))
    if origin.kind != manifest.source or options != manifest.details.get(OWN_OPTIONS, ""):
        return False
    if isinstance(origin, EmulatedServer):
        from harness.builds.sources.emulated import fingerprint

        return manifest.sha256 == fingerprint(origin)
    if isinstance(origin, GitReference):
        return manifest.asset == origin.ref and origin.commit in (
            "",
            manifest.details.get("commit"),
        )
    if isinstance(origin, ContainerImage):
        from harness.builds.sources.image import DIGESTS

        known = ("", *manifest.details.get(DIGESTS, "").split())
        return manifest.asset == origin.reference and origin.digest in known
    if isinstance(origin, LocalBinary) and manifest.asset != origin.path:
        return False
    pinned = msgspec.structs.asdict(origin)
    digest = pinned.get("sha256")
    if isinstance(digest, dict):
        digest = digest.get(manifest.asset)
    return not digest or digest == manifest.sha256


def _unavailable(
    build: Build, order: Sequence[SourceKind], reasons: Sequence[HarnessError]
) -> HarnessError:
    if not reasons:
        kinds = ", ".join(origin.kind for origin in build.sources)
        return BuildUnavailableError(
            f"{build.id}: none of the wanted sources ({', '.join(order)}) has it; it comes "
            f"from {kinds}"
        )
    if len(reasons) == 1:
        alone = isinstance(reasons[0], CompileError)
        return reasons[0] if alone else BuildUnavailableError(f"{build.id}: {reasons[0]}")
    each = "; ".join(map(str, reasons))
    return BuildUnavailableError(f"{build.id}: no source works here: {each}")


def _is_unchanged(binary: Path, manifest: Manifest) -> bool:
    from harness.builds.digest import sha256_of

    try:
        return sha256_of(binary) == manifest.sha256
    except OSError:
        return False


def reported_version(binary: Path, env: Mapping[str, str]) -> str:
    """Return the first line of a program's ``--version``; empty where it does not tell."""
    # Neither the user's secrets nor a LLAMA_ARG_* that the program would refuse.
    plain = {name: value for name, value in os.environ.items() if name.upper() in _PLAIN}
    try:
        answer = ask_server(binary, "--version", env={**plain, **env}, timeout_s=60)
    except OSError:
        return ""
    lines = [line.strip() for line in f"{answer.stderr}\n{answer.stdout}".splitlines()]
    return next((line for line in lines if line.startswith("version:")), "")


def _tell_version(build: Build, manifest: Manifest, progress: Progress) -> None:
    """Report a binary that calls itself another build; identity remains with the digest."""
    told = re.search(r"version: (\d+) |build (\d+)", f"{manifest.reported_version} ")
    number = next((int(group) for group in told.groups() if group), 0) if told else 0
    if build.numbered and number and number != build.number:
        progress.note(
            f"{build.id}: the binary calls itself {manifest.reported_version!r}; "
            f"its identity is {manifest.asset}"
        )
