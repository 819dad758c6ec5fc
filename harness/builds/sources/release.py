"""Builds from GitHub releases: which asset fits, how it is fetched, and what is in it."""

import os
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import requests

from harness.builds.archives import find_program, unpack
from harness.builds.catalogue import UPSTREAM, Build, Origin, ReleaseAsset
from harness.builds.download import Patience, brief, fetch_file, get, redacted
from harness.builds.platforms import Platform
from harness.builds.sources.base import (
    Delivery,
    Workspace,
    is_shared_library,
    library_variables,
)
from harness.errors import DigestMismatchError, SourceUnavailableError

DEFAULT_API = "https://api.github.com"

REACHABLE_WITHIN_S = 2.0
"""Longest wait for a first answer, where a build has other sources."""

KNOWN_BAD: Mapping[str, str] = {
    "b9110": "its assets are incomplete",
    **{f"b{number}": "links in its tarballs are broken" for number in range(9165, 9173)},
}
"""Releases of ggml-org/llama.cpp that cannot be used, and why."""


@dataclass(frozen=True, kw_only=True)
class Asset:
    """One file of a release.

    Attributes:
        name: Its name.
        url: Where it is.
        sha256: What the API says its digest is; empty on older assets.
    """

    name: str
    url: str
    sha256: str


class GitHub:
    """The part of GitHub's REST API that tells of releases."""

    def __init__(
        self,
        *,
        api: str | None = None,
        token: str | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Name the API.

        Args:
            api: Its address; ``GITHUB_API_URL`` or github.com's if None.
            token: Raises the rate limit; ``GITHUB_TOKEN`` or ``GH_TOKEN`` if None.
            patience: How long to go on.
        """
        self.api = (api or os.environ.get("GITHUB_API_URL") or DEFAULT_API).rstrip("/")
        self._token = token or os.environ.get("GITHUB_TOKEN") or os.environ.get("GH_TOKEN")
        self.session = requests.Session()
        self.patience = patience or Patience()
        self._asked = threading.Lock()
        self._no_answer: str | None = None

    def unreachable(self, within_s: float = REACHABLE_WITHIN_S) -> str:
        """Why nothing answers at the API's address; empty where something does.

        Asked once, however many builds want to know, and given up after ``within_s`` seconds, the
        search for the address included, which no time-out of a connection bounds.
        """
        with self._asked:
            if self._no_answer is None:
                answers: queue.SimpleQueue[str] = queue.SimpleQueue()
                asking = threading.Thread(
                    target=lambda: answers.put(self._ask_for_limits(within_s)), daemon=True
                )
                asking.start()
                try:
                    self._no_answer = answers.get(timeout=within_s)
                except queue.Empty:
                    self._no_answer = f"no answer within {within_s:g} s"
            return self._no_answer

    def _ask_for_limits(self, timeout_s: float) -> str:
        try:
            # Does not count against the rate limit.
            with requests.get(f"{self.api}/rate_limit", timeout=timeout_s, stream=True):
                return ""
        except requests.exceptions.RequestException as error:
            return brief(error)

    def assets(self, repository: str, tag: str) -> tuple[Asset, ...]:
        """Return the files of a release.

        Raises:
            SourceUnavailableError: There is no such release, or the API does not answer.
        """
        release = self._get(f"/repos/{repository}/releases/tags/{tag}")
        if release is None:
            raise SourceUnavailableError(
                f"{repository} has no release {tag}: not every build is released, "
                "`llama-harness builds list --available` shows which are to be had"
            )
        return tuple(_asset(entry) for entry in release.get("assets", ()))

    def tags(self, repository: str, *, pages: int = 10) -> Iterator[str]:
        """Yield the tags of the newest releases that have files, a hundred to a page.

        Raises:
            SourceUnavailableError: The API does not answer.
        """
        for page in range(1, pages + 1):
            listed = self._get(f"/repos/{repository}/releases?per_page=100&page={page}")
            for release in listed or ():
                if release.get("assets"):
                    yield str(release["tag_name"])
            if not listed or len(listed) < 100:  # noqa: PLR2004
                return

    def _get(self, path: str) -> Any:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        url = f"{self.api}{path}"
        with get(self.session, url, patience=self.patience, headers=headers) as response:
            if response.status_code == 404:  # noqa: PLR2004
                return None
            if response.status_code in {403, 429}:
                raise SourceUnavailableError(_rate_limit(response))
            if response.status_code == 401:  # noqa: PLR2004
                raise SourceUnavailableError(
                    "GitHub does not accept the token in GITHUB_TOKEN: correct it or unset it"
                )
            if not response.ok:
                raise SourceUnavailableError(
                    f"{redacted(url)}: HTTP status {response.status_code} {response.reason}"
                )
            try:
                return response.json()
            except requests.exceptions.RequestException as error:
                raise SourceUnavailableError(
                    f"{redacted(url)}: its answer is not the API's: {error}"
                ) from error


class ReleaseSource:
    """Serves release assets."""

    def __init__(self, github: GitHub | None = None) -> None:
        self._github = github or GitHub()
        self._told = False

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:  # noqa: ARG002
        """Fetch and unpack the asset that fits this host; errors as in ``Source``."""
        assert isinstance(origin, ReleaseAsset)
        if origin.repository == UPSTREAM and origin.tag in KNOWN_BAD:
            raise SourceUnavailableError(
                f"release {origin.tag} is known to be bad: {KNOWN_BAD[origin.tag]}; take another "
                "build or source"
            )
        if not workspace.alone and (problem := self._github.unreachable()):
            reason = f"{redacted(self._github.api)} is not reached ({problem})"
            if not self._told:
                self._told = True
                workspace.progress.note(f"no releases: {reason}; taking builds from other sources")
            raise SourceUnavailableError(reason)
        assets = self._github.assets(origin.repository, origin.tag)
        chosen = choose_assets(assets, origin, workspace.platform)
        digests: list[str] = []
        spent = []
        for asset in chosen:
            pinned = origin.sha256.get(asset.name, "")
            if pinned and asset.sha256 and pinned != asset.sha256:
                raise DigestMismatchError(
                    f"{asset.name}: GitHub states SHA-256 {asset.sha256}, pinned is {pinned}; "
                    "nothing was fetched"
                )
            archive = workspace.downloads / f"{origin.repository.replace('/', '-')}-{asset.name}"
            digests.append(
                fetch_file(
                    self._github.session,
                    asset.url,
                    archive,
                    sha256=pinned or asset.sha256 or None,
                    progress=workspace.progress,
                    patience=self._github.patience,
                    label=asset.name,
                    cancelled=workspace.cancelled,
                )
            )
            spent.append(archive)
            unpack(archive, workspace.output)
        binary = find_program(workspace.output, workspace.platform.server_name)
        if binary is None:
            raise SourceUnavailableError(f"{chosen[0].name} holds no llama-server")
        _gather_libraries(workspace, binary.parent.as_posix())
        binary.chmod(0o755)
        checked = origin.sha256.get(chosen[0].name) or chosen[0].sha256
        return Delivery(
            binary=binary,
            asset=chosen[0].name,
            sha256=digests[0],
            details={
                "repository": origin.repository,
                "tag": origin.tag,
                "digest": "checked" if checked else "recorded, nobody stated one",
                "further_assets": " ".join(asset.name for asset in chosen[1:]),
            },
            env=library_variables(binary, workspace),
            spent=tuple(spent),
        )


def choose_assets(
    assets: tuple[Asset, ...], origin: ReleaseAsset, platform: Platform
) -> tuple[Asset, ...]:
    """Return the asset that fits a host, and those it needs besides.

    Raises:
        SourceUnavailableError: None fits; the message says what the release has.
    """
    for pattern in asset_patterns(platform, origin.variant):
        for asset in assets:
            if re.fullmatch(pattern.replace("{T}", re.escape(origin.tag)), asset.name):
                return (asset, *_runtime(assets, asset))
    have = ", ".join(sorted(asset.name for asset in assets)[:12]) or "no files"
    raise SourceUnavailableError(
        f"release {origin.tag} has no {origin.variant} build for {platform}; it has {have}"
    )


def asset_patterns(platform: Platform, variant: str) -> tuple[str, ...]:
    """Return regular expressions for asset names of every era, best first; ``{T}`` is the tag."""
    end = r"\.(?:tar\.gz|zip)"
    cpu = variant == "cpu"
    match platform.system:
        case "linux":
            kind = "" if cpu else f"{re.escape(variant)}-"
            return (rf"llama-{{T}}-bin-ubuntu-{kind}{platform.machine}{end}",)
        case "macos":
            return (rf"llama-{{T}}-bin-macos-{platform.machine}{end}",) if cpu else ()
        case "windows":
            machine = platform.machine
            if cpu:
                old = [rf"llama-{{T}}-bin-win-{each}-{machine}\.zip" for each in _OLD_WINDOWS]
                return (rf"llama-{{T}}-bin-win-cpu-{machine}\.zip", *old)
            version = re.escape(variant.removeprefix("cuda").removeprefix("-"))
            if variant.startswith("cuda"):
                # cuda-12.4 since b5450; cuda12.4 and cuda-cu12.4 before.
                number = version or r"[\d.]+"
                return (rf"llama-{{T}}-bin-win-cuda-?(?:cu)?{number}-{machine}\.zip",)
            return (rf"llama-{{T}}-bin-win-{re.escape(variant)}-{machine}\.zip",)


_OLD_WINDOWS = ("avx2", "avx", "noavx")
"""Processor variants of May 2025 and before; avx512 would not run everywhere."""


def _runtime(assets: tuple[Asset, ...], chosen: Asset) -> Iterator[Asset]:
    """Yield the CUDA runtime that a Windows CUDA build needs beside it."""
    version = re.search(r"-win-cuda-?(?:cu)?([\d.]+)-(\w+)\.zip$", chosen.name)
    if version:
        pattern = (
            rf"cudart-llama-bin-win-(?:cuda-)?(?:cu)?{re.escape(version[1])}-{version[2]}\.zip"
        )
        yield from (asset for asset in assets if re.fullmatch(pattern, asset.name))


def _gather_libraries(workspace: Workspace, beside: str) -> None:
    """Make libraries executable, and bring those of a further asset to the program."""
    for path in sorted(workspace.output.rglob("*")):
        if path.is_file() and not path.is_symlink() and is_shared_library(path):
            path.chmod(0o755)
            if path.suffix == ".dll" and path.parent.as_posix() != beside:
                path.replace(f"{beside}/{path.name}")


def _asset(entry: Mapping[str, Any]) -> Asset:
    digest = str(entry.get("digest") or "")
    return Asset(
        name=str(entry["name"]),
        url=str(entry["browser_download_url"]),
        sha256=digest.removeprefix("sha256:") if digest.startswith("sha256:") else "",
    )


def _rate_limit(response: requests.Response) -> str:
    reset = response.headers.get("X-RateLimit-Reset", "")
    minutes = max(1, round((int(reset) - time.time()) / 60)) if reset.isdigit() else None
    when = f"in about {minutes} min" if minutes else "later"
    if response.headers.get("X-RateLimit-Remaining") == "0" or response.status_code == 429:  # noqa: PLR2004
        return f"GitHub's rate limit is used up: try again {when}, or set GITHUB_TOKEN to raise it"
    return f"GitHub refuses the request (HTTP status {response.status_code}): check GITHUB_TOKEN"
