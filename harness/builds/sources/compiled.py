"""What both sources that compile do with a tree."""

from collections.abc import Mapping
from pathlib import Path

from harness.builds.catalogue import Build, GitReference, PackageFile
from harness.builds.headers import HEADERS, NO_HEADERS, keep_headers
from harness.builds.manifest import OWN_OPTIONS, options_text
from harness.builds.recipe import compile_server, recipe_with
from harness.builds.sources.base import Turn, Workspace
from harness.builds.toolchain import Toolchain
from harness.errors import SourceUnavailableError


def compile_tree(
    build: Build,
    origin: GitReference | PackageFile,
    workspace: Workspace,
    *,
    toolchain: Toolchain,
    commit: str,
    turn: Turn,
) -> tuple[Path, Mapping[str, str]]:
    """Compile ``tree`` in the scratch directory; return the program and its details."""
    compiled = compile_server(
        workspace.scratch / "tree",
        workspace.scratch,
        toolchain=toolchain,
        platform=workspace.platform,
        progress=workspace.progress,
        cancelled=workspace.cancelled,
        label=build.id,
        number=build.number if build.numbered else 0,
        commit=commit,
        recipe=recipe_with(origin.options),
        turn=turn,
    )
    binary = compiled.binary.replace(workspace.output / workspace.platform.server_name)
    details = {**compiled.details, OWN_OPTIONS: options_text(origin.options)}
    return binary, {**details, **_headers(origin, workspace)}


def _headers(origin: GitReference | PackageFile, workspace: Workspace) -> Mapping[str, str]:
    """Keep the headers of the tree, and say where they came from."""
    try:
        keep_headers(workspace.scratch / "tree", workspace.output)
    except SourceUnavailableError as error:
        return {NO_HEADERS: str(error)}
    return {HEADERS: origin.file if isinstance(origin, PackageFile) else origin.ref}
