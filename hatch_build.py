"""Puts compiled libraries of the spoof into a wheel when ``LLAMA_HARNESS_PREBUILT`` is set.

Such a wheel is for one kind of Linux, or for Windows where the variable says ``windows``, and
serves hosts without a C compiler; the plain wheel is for every system and compiles its libraries on
first use. ``nox -s wheels`` makes them all.
"""

import os
import platform
import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VARIABLE = "LLAMA_HARNESS_PREBUILT"
WINDOWS = "windows"


class CustomBuildHook(BuildHookInterface[BuilderConfig]):
    """Compiles while a wheel is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell the builder where the files go and for whom the wheel is."""
        if version != "standard" or not os.environ.get(VARIABLE):
            return
        environments = Path(self.root) / "harness" / "environments"
        # By path: the package itself imports what a build has not installed.
        compiler = runpy.run_path(str(environments / "native_compiler.py"))
        sources = compiler["read_sources"](environments / "native")
        self._scratch = tempfile.TemporaryDirectory()
        scratch = Path(self._scratch.name)
        if os.environ[VARIABLE] == WINDOWS:
            machine, tag = "amd64", "win_amd64"
            libraries = compiler["SPOOF_LIBRARIES_OF_WINDOWS"]
            cross = (compiler["WINDOWS_CROSS_COMPILER"],)
            made = compiler["compile_libraries"](libraries, sources, scratch, cross)
        else:
            machine, tag = platform.machine().lower(), _linux_tag()
            made = compiler["compile_libraries"](compiler["SPOOF_LIBRARIES"], sources, scratch)
        if isinstance(made, str):
            raise RuntimeError(f"{VARIABLE}: {made}")  # noqa: TRY004 - a reason, not a wrong type
        place = compiler["prebuilt_place"](sources, machine)
        for name, path in made.items():
            build_data["force_include"][str(path)] = f"harness/{place}/{name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{tag}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        if scratch := getattr(self, "_scratch", None):
            scratch.cleanup()


def _linux_tag() -> str:
    libc, release = platform.libc_ver()
    if platform.system() != "Linux" or libc != "glibc":
        raise RuntimeError(f"{VARIABLE}: libraries are prebuilt for Linux with glibc only")
    return f"manylinux_{release.replace('.', '_')}_{platform.machine().lower()}"
