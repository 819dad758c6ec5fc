"""Finding and fetching files of Python packages the way the user's pip would."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

import requests
import urllib3
from packaging.utils import canonicalize_name
from pypi_simple import (
    ACCEPT_JSON_PREFERRED,
    DistributionPackage,
    ProjectPage,
    UnparsableFilenameError,
    UnsupportedContentTypeError,
    UnsupportedRepoVersionError,
    parse_filename,
)

from harness.builds.digest import sha256_of
from harness.builds.download import Patience, fetch_file, get, redacted
from harness.builds.pip_settings import PipSettings, read_pip_settings
from harness.config.paths import entries, expanded, is_dir, take_place
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.terminal import Progress


@dataclass(frozen=True, kw_only=True)
class IndexFile:
    """One file that an index offers.

    Attributes:
        name: The file's name.
        version: The version that the name tells; empty where it tells none.
        url: Where it is, for fetching only.
        sha256: What the index says its digest is; empty where it says nothing.
        yanked: Whether its author withdrew it.
        uploaded: ISO date of its upload; empty where the index does not say.
    """

    name: str
    version: str
    url: str = field(repr=False)
    sha256: str
    yanked: bool
    uploaded: str = ""


class PackageIndexes:
    """All indexes and link directories of the user's pip, as one."""

    def __init__(
        self, settings: PipSettings | None = None, *, patience: Patience | None = None
    ) -> None:
        """Take pip's settings, the user's if None, and its patience unless another is given."""
        self._settings = settings = settings or read_pip_settings()
        self._patience = patience or Patience(
            tries=settings.retries + 1, timeout_s=settings.timeout_s
        )
        self._session = open_session(settings)

    def files(self, project: str) -> tuple[IndexFile, ...]:
        """Return all files of a project, from every index that has it.

        Raises:
            SourceUnavailableError: No index has the project, or none can be reached.
        """
        found: list[IndexFile] = []
        problems: list[str] = []
        for index in self._settings.indexes:
            try:
                found += self._files_of_index(index, project)
            except SourceUnavailableError as error:
                problems.append(str(error))
        for place in self._settings.find_links:
            with suppress(SourceUnavailableError):
                found += self._files_of_links(place, project)
        if found:
            return tuple(found)
        if problems:
            raise SourceUnavailableError("; ".join(problems))
        raise SourceUnavailableError(f"no package index that pip is set up with has {project}")

    def fetch(
        self,
        project: str,
        name: str,
        *,
        sha256: str,
        directory: Path,
        progress: Progress,
        cancelled: threading.Event | None = None,
    ) -> Path:
        """Fetch a file of a project into a directory and return it, checked.

        Raises:
            SourceUnavailableError: No index has the file, or none can be reached.
            DigestMismatchError: Every file of that name has another digest.
            CancelledError: ``cancelled`` was set.
        """
        target = directory / f"{sha256[:16]}-{name}"
        if target.is_file() and sha256_of(target) == sha256:
            return target
        offered = [file for file in self.files(project) if file.name == name]
        if not offered:
            raise SourceUnavailableError(
                f"no package index that pip is set up with has {name} of {project}"
            )
        right = [file for file in offered if file.sha256 in ("", sha256)]
        if not right:
            raise DigestMismatchError(
                f"{name}: the index states SHA-256 {offered[0].sha256}, pinned is {sha256}; "
                "nothing was fetched. Correct the pin only if you know why the file changed"
            )
        local = _local_path(right[0].url)
        if local is not None:
            return _copy_checked(local, target, sha256)
        fetch_file(
            self._session,
            right[0].url,
            target,
            sha256=sha256,
            progress=progress,
            patience=self._patience,
            label=name,
            cancelled=cancelled,
        )
        return target

    def _files_of_index(self, index: str, project: str) -> Iterator[IndexFile]:
        address = urljoin(index.rstrip("/") + "/", canonicalize_name(project) + "/")
        local = _local_path(address)
        if local is not None:
            page = local / "index.html"
            if not page.is_file():
                return
            text = page.read_text(encoding="utf-8", errors="replace")
            listing = ProjectPage.from_html(project, text, base_url=address)
        else:
            response = get(
                self._session,
                address,
                patience=self._patience,
                headers={"Accept": ACCEPT_JSON_PREFERRED},
            )
            with response:
                if response.status_code in (403, 404, 410):
                    return
                if not response.ok:
                    raise SourceUnavailableError(
                        f"{redacted(address)}: HTTP status {response.status_code} {response.reason}"
                    )
                try:
                    listing = ProjectPage.from_response(response, project)
                except (
                    UnsupportedContentTypeError,
                    UnsupportedRepoVersionError,
                    ValueError,
                ) as error:
                    raise SourceUnavailableError(
                        f"{redacted(address)}: not a package index: {error}"
                    ) from error
        yield from map(_index_file, listing.packages)

    def _files_of_links(self, place: str, project: str) -> Iterator[IndexFile]:
        local = _local_path(place)
        directory = local if local is not None else expanded(place)
        if not is_dir(directory):
            return
        for path in entries(directory):
            with suppress(UnparsableFilenameError):
                owner, version, _ = parse_filename(path.name, project)
                if canonicalize_name(owner) == canonicalize_name(project):
                    yield IndexFile(
                        name=path.name,
                        version=version,
                        url=path.resolve().as_uri(),
                        sha256="",
                        yanked=False,
                    )


def open_session(settings: PipSettings) -> requests.Session:
    """Return a session with the proxy, certificates and trusted hosts that pip would use.

    User names and passwords come from the addresses themselves or from the user's netrc.
    """
    session = requests.Session()
    session.cert = settings.client_certificate
    usual = _PipAdapter(verify=settings.ca_bundle, proxy=settings.proxy)
    session.mount("https://", usual)
    session.mount("http://", usual)
    if settings.trusted_hosts:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    for host in settings.trusted_hosts:
        unchecked = _PipAdapter(verify=False, proxy=settings.proxy)
        session.mount(f"https://{host}/", unchecked)
        session.mount(f"https://{host}:", unchecked)
    return session


class _PipAdapter(requests.adapters.HTTPAdapter):
    """Puts pip's settings over those that requests takes from the environment."""

    def __init__(self, *, verify: str | bool | None, proxy: str | None) -> None:
        super().__init__()
        self._verify = verify
        self._proxy = proxy

    def send(  # type: ignore[no-untyped-def]  # noqa: PLR0917  # requests' own signature
        self, request, stream=False, timeout=None, verify=True, cert=None, proxies=None
    ) -> requests.Response:
        return super().send(
            request,
            stream=stream,
            timeout=timeout,
            verify=verify if self._verify is None else self._verify,
            cert=cert,
            proxies={"http": self._proxy, "https": self._proxy} if self._proxy else proxies,
        )


def _index_file(package: DistributionPackage) -> IndexFile:
    return IndexFile(
        name=package.filename,
        version=package.version or "",
        url=package.url,
        sha256=package.digests.get("sha256", ""),
        yanked=package.is_yanked,
        uploaded=package.upload_time.date().isoformat() if package.upload_time else "",
    )


def _local_path(url: str) -> Path | None:
    parts = urlsplit(url)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" else None


def _copy_checked(source: Path, target: Path, sha256: str) -> Path:
    try:
        found = sha256_of(source)
        if found != sha256:
            raise DigestMismatchError(
                f"{source.name}: its SHA-256 is {found}, pinned is {sha256}; nothing was kept"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.part")
        copyfile(source, part)
        take_place(part, target)
    except OSError as error:
        raise SourceUnavailableError(f"{source}: cannot be copied: {error}") from error
    return target
