"""Finding what a compile needs: cmake and ninja from their PyPI packages, a compiler, a cache."""

import importlib.util
import os
import re
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.builds.locations import cache_root
from harness.errors import SourceUnavailableError
from harness.processes.running import ask


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """Programs that compile a build.

    Attributes:
        cmake: The cmake program.
        ninja: The ninja program.
        compiler: The C++ compiler as cmake will be told it; empty where cmake shall find one
            (Microsoft's, which needs its own environment).
        c_compiler: The C compiler that belongs to it; empty likewise.
        compiler_version: First line of the compiler's own version text.
        is_gcc: Whether it is GCC itself, not one that only understands its options.
        cache: ccache or sccache where one is on PATH, else ccache from its PyPI package.
        cache_directory: Where the cache keeps its objects; None where that is its own affair, as it
            is with one that the user has on PATH.
        strip: The strip program, where there is one.
        named: Whether the user named the compiler, by CC or CXX.
        refused: Why the compiler that could be fetched is not in this one's place; empty where it
            is, or is not meant to be.
    """

    cmake: Path
    ninja: Path
    compiler: str
    c_compiler: str
    compiler_version: str
    is_gcc: bool
    cache: Path | None
    strip: Path | None
    cache_directory: Path | None = None
    named: bool = False
    refused: str = ""

    @property
    def can_join(self) -> bool:
        """Whether sources can be compiled together: a GCC-like compiler and a POSIX shell."""
        return bool(self.compiler) and os.name == "posix"


def find_toolchain(env: Mapping[str, str] | None = None) -> Toolchain:
    """Find the programs.

    Args:
        env: Variables with PATH, CC and CXX; this process's own if None.

    Raises:
        SourceUnavailableError: One is missing; the message says which and how to get it.
    """
    env = os.environ if env is None else env
    path = env.get("PATH")
    cmake = _from_package("cmake", path)
    ninja = _from_package("ninja", path)
    c_compiler, compiler = _compilers(env)
    cache = next((found for name in ("ccache", "sccache") if (found := _which(name, path))), None)
    cache_directory = None
    if cache is None and os.name == "posix":
        cache = _which("ccache", sysconfig.get_path("scripts"))
        cache_directory = cache_root() / "ccache"
    version = version_text(compiler) if compiler else "as cmake finds it"
    return Toolchain(
        cmake=cmake,
        ninja=ninja,
        compiler=compiler,
        c_compiler=c_compiler,
        compiler_version=next(iter(version.splitlines()), compiler).strip(),
        is_gcc="Free Software Foundation" in version,
        cache=cache,
        strip=_which(_strip_name(compiler), path),
        cache_directory=cache_directory if cache else None,
        named=bool(env.get("CC") or env.get("CXX")),
    )


def _compilers(env: Mapping[str, str]) -> tuple[str, str]:
    path = env.get("PATH")
    if chosen := env.get("CXX"):
        if not shutil.which(chosen, path=path):
            raise SourceUnavailableError(
                f"the compiler that CXX names, {chosen!r}, is not there: correct CXX or unset it"
            )
        if Path(chosen).stem.lower() == "cl":
            return "", ""
        return env.get("CC") or _sibling(chosen, path), chosen
    for c_name, name in (("cc", "c++"), ("gcc", "g++"), ("clang", "clang++")):
        if shutil.which(name, path=path) and shutil.which(c_name, path=path):
            return c_name, name
    if os.name == "nt":
        # ninja has no search of its own for Visual Studio: its compiler is on PATH, or not found.
        if shutil.which("cl", path=path):
            return "", ""
        raise SourceUnavailableError(
            "no C++ compiler found (looked for $CXX, c++, g++, clang++ and cl on PATH): install "
            "Visual Studio's C++ tools and run this in its developer prompt, or put a compiler on "
            "PATH"
        )
    raise SourceUnavailableError(
        "no C++ compiler found (looked for $CXX, c++, g++ and clang++ on PATH): install one, for "
        "instance with `apt install g++` or `xcode-select --install`"
    )


def _sibling(compiler: str, path: str | None) -> str:
    """Return the C compiler beside a C++ compiler: ``g++-12`` has ``gcc-12``."""
    place = Path(compiler)
    for cxx, c in (("clang++", "clang"), ("g++", "gcc"), ("c++", "cc")):
        if cxx in place.name:
            sibling = str(place.with_name(place.name.replace(cxx, c, 1)))
            if shutil.which(sibling, path=path):
                return sibling
    return "cc"


def _strip_name(compiler: str) -> str:
    """Return the strip program of a C++ compiler: ``aarch64-linux-gnu-g++`` has one of its own."""
    place = Path(compiler)
    cross = re.match(r"(.*-)(?:g\+\+|c\+\+|clang\+\+)", place.name)
    return str(place.with_name(f"{cross[1]}strip")) if cross else "strip"


def _from_package(name: str, path: str | None) -> Path:
    """Find a program that a PyPI package of the same name installs."""
    directories = [sysconfig.get_path("scripts")]
    spec = importlib.util.find_spec(name)
    for place in (spec.submodule_search_locations if spec else None) or ():
        directories += [str(Path(place) / "data" / "bin"), str(Path(place) / "bin")]
    found = shutil.which(name, path=os.pathsep.join(directories)) or shutil.which(name, path=path)
    if not found:
        raise SourceUnavailableError(
            f"{name} is not there: install it with `python -m pip install {name}`"
        )
    return Path(found)


def _which(name: str, path: str | None) -> Path | None:
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def version_text(program: str) -> str:
    """Return what a compiler says of its version, never empty.

    Raises:
        SourceUnavailableError: It does not say.
    """
    try:
        answer = ask([program, "--version"], timeout_s=30)
    except OSError as error:
        raise SourceUnavailableError(
            f"the compiler {program!r} does not answer --version: {error}"
        ) from error
    if answer.returncode:
        raise SourceUnavailableError(
            f"the compiler {program!r} does not answer --version: it exited with status "
            f"{answer.returncode}"
        )
    return answer.stdout
