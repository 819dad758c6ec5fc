"""What both sources that compile do with a tree."""

from collections.abc import Mapping
from pathlib import Path

from harness.builds.catalogue import Build, GitReference, PackageFile
from harness.builds.manifest import OWN_OPTIONS, options_text
from harness.builds.recipe import compile_server, recipe_with
from harness.builds.sources.base import Workspace
from harness.builds.toolchain import Toolchain


def compile_tree(
    build: Build,
    origin: GitReference | PackageFile,
    workspace: Workspace,
    toolchain: Toolchain,
    commit: str,
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
    )
    binary = compiled.binary.replace(workspace.output / workspace.platform.server_name)
    return binary, {**compiled.details, OWN_OPTIONS: options_text(origin.options)}
