"""Builds from container images, run by an engine or copied out.

What the store keeps of an image is a small program named ``llama-server`` that runs the real one in
a container: so a build from an image is a path like any other, and every subject, probe and launch
uses it unchanged.
"""

import io
import json
import os
import sys
import tarfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import harness
from harness.builds.archives import find_program, unpack
from harness.builds.catalogue import Build, ContainerImage, Origin
from harness.builds.sources.base import Delivery, Workspace, library_variables
from harness.errors import DigestMismatchError, SourceUnavailableError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.images import Image

ENGINE_VARIABLES = ("DOCKER_HOST", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH")


class ImageSource:
    """Serves images that a local engine has or can pull."""

    def __init__(self, *, extract: bool = False) -> None:
        """Choose how.

        Args:
            extract: Copy the program and its libraries out instead of running containers.
        """
        self._extract = extract

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Pull the image and make a program of it; errors as in ``Source``."""
        assert isinstance(origin, ContainerImage)
        if workspace.platform.system == "windows":
            raise SourceUnavailableError("images are served on Linux and macOS only")
        client = open_engine()
        try:
            image = _image(client, origin, workspace)
            digest = image.id or ""
            known = {
                digest,
                *(each.rpartition("@")[2] for each in image.attrs["RepoDigests"] or ()),
            }
            if origin.digest and origin.digest not in known:
                raise DigestMismatchError(
                    f"{build.id}: image {origin.reference} is {digest}, pinned is {origin.digest}"
                )
            if self._extract:
                binary = _copy_out(client, origin, workspace)
                env = library_variables(binary, workspace)
            else:
                binary = _write_launcher(digest, origin.binary, workspace)
                env = {}
        finally:
            client.close()
        return Delivery(
            binary=binary,
            asset=origin.reference,
            sha256=digest.removeprefix("sha256:"),
            details={"image": digest, "runs": "extracted" if self._extract else "in a container"},
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
            f"no container engine answers ({_brief(error)}): start one, or set DOCKER_HOST"
        ) from error
    return client


def _image(client: "DockerClient", origin: ContainerImage, workspace: Workspace) -> "Image":
    from docker.errors import DockerException, ImageNotFound

    try:
        return client.images.get(origin.reference)
    except ImageNotFound:
        pass
    try:
        with workspace.progress.task(f"pull {origin.reference}", "steps"):
            return client.images.pull(origin.reference)
    except DockerException as error:
        raise SourceUnavailableError(
            f"image {origin.reference} cannot be pulled: {_brief(error)}"
        ) from error


def _write_launcher(image: str, binary: str, workspace: Workspace) -> Path:
    settings = {
        "image": image,
        "binary": binary,
        "engine": {name: os.environ[name] for name in ENGINE_VARIABLES if name in os.environ},
    }
    place = Path(harness.__file__).parent.parent
    launcher = workspace.output / workspace.platform.server_name
    launcher.write_text(
        # Through sh, since a path to Python may be too long or hold a space.
        f"#!/bin/sh\n'''exec' {_shell_quoted(sys.executable)} -P \"$0\" \"$@\"\n' '''\n"
        "import sys\n"
        f"sys.path[:0] = {json.dumps([str(place), *_site_directories()])}\n"
        "from harness.builds.container import main\n"
        f"sys.exit(main({settings!r}, sys.argv[1:]))\n",
        encoding="utf-8",
    )
    launcher.chmod(0o755)
    return launcher


def _site_directories() -> list[str]:
    return [path for path in sys.path if path and Path(path).is_dir() and "site-packages" in path]


def _copy_out(client: "DockerClient", origin: ContainerImage, workspace: Workspace) -> Path:
    from docker.errors import DockerException

    directory = PurePosixPath(origin.binary).parent
    try:
        container = client.containers.create(origin.reference)
        try:
            chunks, _ = container.get_archive(str(directory))
            archive = workspace.scratch / "image.tar"
            archive.write_bytes(b"".join(chunks))
        finally:
            container.remove(force=True, v=True)
    except DockerException as error:
        raise SourceUnavailableError(
            f"{origin.binary} cannot be copied out of {origin.reference}: {_brief(error)}"
        ) from error
    unpack(archive, workspace.output)
    binary = find_program(workspace.output, PurePosixPath(origin.binary).name)
    if binary is None:
        raise SourceUnavailableError(f"image {origin.reference} has no {origin.binary}")
    return binary


def make_image(client: "DockerClient", tag: str, files: dict[str, Path]) -> None:
    """Make an image that holds nothing but some files; for engines that can pull nothing.

    Args:
        client: The engine.
        tag: ``name:tag`` of the image.
        files: Paths in the image and the files to put there.
    """
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, path in files.items():
            archive.add(path, name.lstrip("/"))
    repository, _, version = tag.partition(":")
    client.api.import_image_from_data(packed.getvalue(), repository=repository, tag=version)


def _shell_quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)


def _brief(error: BaseException) -> str:
    text = getattr(error, "explanation", None) or str(error)
    return " ".join(str(text).split())[:300]
