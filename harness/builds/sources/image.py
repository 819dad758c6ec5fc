"""Builds from container images, run by an engine or copied out.

What the store keeps of an image is a small program named ``llama-server`` that runs the real one in
a container: so a build from an image is a path like any other, and every subject, probe and launch
uses it unchanged.
"""

import json
import os
import shlex
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import harness
from harness.builds.archives import find_program, unpack
from harness.builds.catalogue import Build, ContainerImage, Origin
from harness.builds.container import Network, brief, disposable, server_variables
from harness.builds.sources.base import Delivery, Workspace, library_variables
from harness.config.paths import is_dir
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.processes.running import CancelledError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")

DIGESTS = "digests"
"""Names, in a manifest's details, the image's id and the digests that registries know it by."""

INTERPRETER = "interpreter"
"""Names, in a manifest's details, the Python that runs containers; absent where none are run."""


class ImageSource:
    """Serves images that a local engine has or can pull."""

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Pull the image and make a program of it; errors as in ``Source``."""
        assert isinstance(origin, ContainerImage)
        if workspace.platform.system == "windows":
            raise SourceUnavailableError("images are served on Linux and macOS only")
        client = open_engine()
        try:
            image = _image(client, origin, workspace)
            digest = image.id or ""
            known = [
                digest,
                *(each.rpartition("@")[2] for each in image.attrs["RepoDigests"] or ()),
            ]
            if origin.digest and origin.digest not in known:
                raise DigestMismatchError(
                    f"{build.id}: image {origin.reference} is {digest}, pinned is {origin.digest}"
                )
            details = {DIGESTS: " ".join(known)}
            if workspace.extract:
                binary = _copy_out(client, digest, origin, workspace)
                env = library_variables(binary, workspace)
            else:
                network = _network(client, workspace)
                binary = _write_launcher(image, origin.binary, network, workspace)
                env = {}
                details |= {"network": network, INTERPRETER: sys.executable}
        finally:
            client.close()
        return Delivery(
            binary=binary,
            asset=origin.reference,
            sha256=digest.removeprefix("sha256:"),
            details=details,
            env=env,
        )


def open_engine() -> "DockerClient":
    """Connect to the local engine.

    Raises:
        SourceUnavailableError: The docker package or an engine is not there.
    """
    try:
        import docker
    except ImportError as error:
        raise SourceUnavailableError(
            "the docker package is not there: install llama-harness[image]"
        ) from error
    try:
        client = docker.from_env()
        client.ping()
    except Exception as error:  # the SDK lets errors of four libraries through
        raise SourceUnavailableError(
            f"no container engine answers ({brief(error)}): start one, or set DOCKER_HOST"
        ) from error
    return client


def _image(client: "DockerClient", origin: ContainerImage, workspace: Workspace) -> "Image":
    from docker.errors import DockerException, ImageNotFound

    try:
        return client.images.get(origin.reference)
    except ImageNotFound:
        pass
    try:
        _pull(client, origin.reference, workspace)
        return client.images.get(origin.reference)
    except DockerException as error:
        raise SourceUnavailableError(
            f"image {origin.reference} cannot be pulled: {brief(error)}"
        ) from error


def _pull(client: "DockerClient", reference: str, workspace: Workspace) -> None:
    from docker.errors import APIError
    from docker.utils import parse_repository_tag

    repository, tag = parse_repository_tag(reference)
    layers: dict[str, tuple[int, int]] = {}
    with workspace.progress.task(f"pull {reference}", "bytes") as task:
        events = client.api.pull(repository, tag=tag or "latest", stream=True, decode=True)
        for event in events:
            if workspace.cancelled.is_set():
                raise CancelledError
            if "error" in event:
                raise APIError(event["error"])
            amount = event.get("progressDetail") or {}
            if event.get("status") == "Downloading" and amount.get("total"):
                layers[event["id"]] = (amount["current"], amount["total"])
                done, total = (sum(each) for each in zip(*layers.values(), strict=True))
                task.reach(done, total)


def _network(client: "DockerClient", workspace: Workspace) -> Network:
    """Choose how the server's port comes to this host's loopback.

    Raises:
        SourceUnavailableError: The engine is on another machine, with neither files nor ports here.
    """
    if not client.api.base_url.startswith(("http+docker://", "http://localhost")):
        raise SourceUnavailableError(
            "the container engine that DOCKER_HOST names is on another machine: use a local one, "
            "or --extract"
        )
    # Engines on macOS run in a virtual machine, rootless ones in a network of their own.
    rootless = any("rootless" in each for each in client.info().get("SecurityOptions") or ())
    return "host" if workspace.platform.system == "linux" and not rootless else "published"


def _write_launcher(image: "Image", binary: str, network: Network, workspace: Workspace) -> Path:
    own = [each.partition("=")[0] for each in image.attrs["Config"].get("Env") or ()]
    settings = {
        "image": image.id,
        "binary": binary,
        "unset": server_variables(own),
        "network": network,
        "engine": {name: os.environ[name] for name in ENGINE_VARIABLES if name in os.environ},
    }
    place = Path(harness.__file__).parent.parent
    launcher = workspace.output / workspace.platform.server_name
    launcher.write_text(
        # Through sh, since a path to Python may be too long or hold a space.
        f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} -P \"$0\" \"$@\"\n' '''\n"
        "import sys\n"
        f"sys.path[:0] = {json.dumps([str(place), *_site_directories()])}\n"
        "from harness.builds.container import main\n"
        f"sys.exit(main({settings!r}, sys.argv[1:]))\n",
        encoding="utf-8",
        newline="\n",
    )
    launcher.chmod(0o755)
    return launcher


def _site_directories() -> list[str]:
    return [path for path in sys.path if path and is_dir(Path(path)) and "site-packages" in path]


def _copy_out(
    client: "DockerClient", image: str, origin: ContainerImage, workspace: Workspace
) -> Path:
    """Copy the program out, with what lies beside it unless that is the whole image."""
    from docker.errors import DockerException

    program = PurePosixPath(origin.binary)
    wanted = program if program.parent == PurePosixPath("/") else program.parent
    archive = workspace.scratch / "image.tar"
    try:
        with disposable(client, image, entrypoint=[origin.binary]) as container:
            chunks, _ = container.get_archive(str(wanted))
            with archive.open("wb") as out:
                out.writelines(chunks)
    except DockerException as error:
        raise SourceUnavailableError(
            f"{origin.binary} cannot be copied out of {origin.reference}: {brief(error)}"
        ) from error
    unpack(archive, workspace.output)
    archive.unlink()
    binary = find_program(workspace.output, program.name)
    if binary is None:
        raise SourceUnavailableError(f"image {origin.reference} has no {origin.binary}")
    return binary
