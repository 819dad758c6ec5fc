"""From a source tree of llama.cpp to one stripped, static, headless llama-server."""

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.builds.cmake_model import ask_for_model, read_program
from harness.builds.generated import GeneratedFiles
from harness.builds.manifest import options_text
from harness.builds.platforms import Platform
from harness.builds.toolchain import Toolchain
from harness.builds.unity_build import UnityBuild, first_error
from harness.errors import CompileError
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.processes.running import Answer, run_program, usable_cores
from harness.terminal import Progress, Task

OPTIONS: Mapping[str, str] = {
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_ACCELERATE": "OFF",
    "GGML_BLAS": "OFF",
    "GGML_CCACHE": "OFF",
    "GGML_METAL": "OFF",
    # Native code would tie the binary to this one processor.
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "ON",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "ON",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_BUILD_WEBUI": "OFF",
    "LLAMA_CURL": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_SERVER_SSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
}
"""What makes a server small, headless and portable, in every era; unknown names are ignored."""

FAST_OPTIONS: Mapping[str, str] = {
    "GGML_CPU_REPACK": "OFF",
    "GGML_IQK_FA_ALL_QUANTS": "OFF",
    "GGML_LLAMAFILE": "OFF",
}
"""What is left out besides: kernels that only speed up models larger than the harness's.

``GGML_IQK_FLASH_ATTENTION`` is not among them: ik_llama.cpp of April 2026 does not link without.
"""

OLDEST_CPU_OPTIONS: Mapping[str, str] = {
    f"GGML_{feature}": "OFF"
    for feature in ("SSE42", "AVX", "AVX_VNNI", "AVX2", "BMI2", "FMA", "F16C", "AVX512")
}
"""Leaves plain x86-64, which every such processor runs; without ``GGML_NATIVE`` upstream compiles
for AVX2. An arm64 build is for plain ARMv8-A already, and ignores these names."""

FAST_FLAGS = "-O1 -DNDEBUG -w -g0"

LIGHT_FLAGS = ("-O0",)
"""For argument parsing, JSON and HTTP: a third of their compile time lies in optimising them."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled server.

    Attributes:
        binary: The program, stripped.
        seconds: Wall time from configuring to stripping.
        details: Compiler, options and the like, for the manifest.
    """

    binary: Path
    seconds: float
    details: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to compile.

    Attributes:
        unity: Whether sources are compiled together; else each on its own by ninja.
        flags: Compiler flags in place of cmake's for a Release build; empty for cmake's.
        options: cmake options.
    """

    unity: bool
    flags: str
    options: Mapping[str, str]


FAST = Recipe(
    unity=True, flags=FAST_FLAGS, options={**OPTIONS, **OLDEST_CPU_OPTIONS, **FAST_OPTIONS}
)
"""The harness's own recipe."""


def recipe_with(options: Mapping[str, str]) -> Recipe:
    """Return the harness's own recipe with a source's options over it."""
    return replace(FAST, options={**FAST.options, **options})


PLAIN = Recipe(unity=False, flags="", options=OPTIONS)
"""The plain Release build, headless: what the harness's own recipe is measured against."""


def compile_server(
    tree: Path,
    scratch: Path,
    *,
    toolchain: Toolchain,
    platform: Platform,
    progress: Progress,
    cancelled: threading.Event,
    label: str,
    number: int = 0,
    commit: str = "",
    recipe: Recipe = FAST,
) -> Compiled:
    """Compile the server of a source tree.

    Args:
        tree: The top of the llama.cpp sources; a copy of the caller's own.
        scratch: A directory for all that is made; ``build`` in it must not exist.
        toolchain: What to compile with.
        platform: The machine to compile on and for.
        progress: Where to show it.
        cancelled: Ends the compile when set.
        label: What the user knows the build as.
        number: The build number that the program shall tell, 0 where unknown.
        commit: The commit it shall tell.
        recipe: How to compile.

    Raises:
        CompileError: It does not configure, compile or link.
        CancelledError: The user gave up.
    """
    start = time.monotonic()
    if not (tree / "CMakeLists.txt").is_file():
        raise CompileError(f"{label}: no CMakeLists.txt where its sources should be")
    add_missing_script(tree, commit)
    with Reaper() as reaper, progress.task(f"compile {label}", "steps") as task:
        work = _Compile(
            scratch=scratch,
            toolchain=toolchain,
            env={**_compiler_env(scratch), OWNER_VARIABLE: reaper.token},
            task=task,
            cancelled=cancelled,
        )
        try:
            work.configure(tree, recipe, number, commit)
            binary = work.by_units() if recipe.unity and toolchain.can_join else None
            binary = binary or work.by_ninja(platform.server_name)
            work.strip(binary)
        except CompileError as error:
            raise CompileError(f"{label}: {error}") from error
    return Compiled(
        binary=binary,
        seconds=time.monotonic() - start,
        details={
            "compiler": toolchain.compiler_version,
            "cache": toolchain.cache.name if toolchain.cache else "",
            "flags": recipe.flags or "Release",
            "options": options_text(recipe.options),
            **work.details,
        },
    )


@dataclass(kw_only=True)
class _Compile:
    """A compile under way."""

    scratch: Path
    toolchain: Toolchain
    env: Mapping[str, str]
    task: Task
    cancelled: threading.Event
    details: dict[str, str] = field(default_factory=dict)

    @property
    def build(self) -> Path:
        return self.scratch / "build"

    def configure(self, tree: Path, recipe: Recipe, number: int, commit: str) -> None:
        ask_for_model(self.build)
        compilers = {"C": self.toolchain.c_compiler, "CXX": self.toolchain.compiler}
        variables = {
            "CMAKE_MAKE_PROGRAM": str(self.toolchain.ninja),
            "CMAKE_BUILD_TYPE": "Release",
            "LLAMA_BUILD_NUMBER": str(number),
            "LLAMA_BUILD_COMMIT": commit or "unknown",
            **recipe.options,
        }
        if not (tree / "tools" / "server").is_dir():
            # Before May 2025 the server was one of the examples.
            variables["LLAMA_BUILD_EXAMPLES"] = "ON"
        for language, compiler in compilers.items():
            if compiler:
                variables[f"CMAKE_{language}_COMPILER"] = compiler
                if recipe.flags:
                    variables[f"CMAKE_{language}_FLAGS_RELEASE"] = recipe.flags
            if self.toolchain.cache:
                variables[f"CMAKE_{language}_COMPILER_LAUNCHER"] = str(self.toolchain.cache)
        outcome = self._run(
            self.toolchain.cmake,
            *("-G", "Ninja", "-S", tree, "-B", self.build),
            *(f"-D{name}={value}" for name, value in variables.items()),
        )
        if outcome.returncode:
            raise CompileError(f"cmake cannot configure it: {_cmake_error(outcome.stdout)}")

    def by_units(self) -> Path | None:
        """Compile many sources at a time; None where the tree has languages it cannot join."""
        program = read_program(self.build, "llama-server")
        if not {group.language for group in program.groups} <= {"C", "CXX"}:
            return None
        GeneratedFiles(self.toolchain.ninja, self.build, self._run).make(program.prerequisites)
        work = UnityBuild(
            program,
            self.toolchain,
            directory=self.scratch / "units",
            jobs=usable_cores(),
            light_flags=LIGHT_FLAGS,
            env=self.env,
            task=self.task,
            cancelled=self.cancelled,
        )
        binary = work.run()
        self.details |= {"recipe": "unity", "divided_units": str(work.divided)}
        return binary

    def by_ninja(self, server_name: str) -> Path:
        self.details["recipe"] = "plain"
        self._ninja("llama-server")
        return self.build / "bin" / server_name

    def strip(self, binary: Path) -> None:
        if self.toolchain.strip:
            self._run(self.toolchain.strip, binary)

    def _ninja(self, *targets: str) -> None:
        outcome = self._run(self.toolchain.ninja, "-j", str(usable_cores()), *targets)
        if outcome.returncode:
            raise CompileError(first_error(outcome.stdout))

    def _run(self, *command: str | Path) -> Answer:
        return run_program(
            command,
            directory=self.build,
            cancelled=self.cancelled,
            env=self.env,
            on_line=self._show,
        )

    def _show(self, line: str) -> None:
        if step := re.match(r"\[(\d+)/(\d+)\]", line):
            self.task.reach(int(step[1]), int(step[2]))


def _compiler_env(scratch: Path) -> dict[str, str]:
    """Return variables under which a compile is the same wherever the scratch directory is."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS")
    }
    # A repository around the store must not lend the build its commit count.
    env["GIT_CEILING_DIRECTORIES"] = str(scratch)
    env.setdefault("CCACHE_BASEDIR", str(scratch))
    env.setdefault("CCACHE_NOHASHDIR", "1")
    env["LC_ALL"] = "C"
    return env


def _cmake_error(output: str) -> str:
    # Some errors go on below a line that ends with a colon: which file, which target.
    found = re.search(r"CMake Error[^\n]*\n+(?:[^\n]+:\n+)*\s*([^\n]+)", output)
    return " ".join(found[0].split()) if found else first_error(output)


def add_missing_script(tree: Path, commit: str) -> None:
    """Write the script that fills in ``build-info.cpp`` where an archive came without it.

    Forks generate that file by a script of their own, which some packages leave out.
    """
    common = tree / "common"
    script = common / "cmake" / "build-info-gen-cpp.cmake"
    lists = common / "CMakeLists.txt"
    if (
        script.exists()
        or not (common / "build-info.cpp.in").is_file()
        or not lists.is_file()
        or script.name not in lists.read_text(encoding="utf-8")
    ):
        return
    script.parent.mkdir(exist_ok=True)
    script.write_text(
        "set(BUILD_NUMBER 0)\n"
        f'set(BUILD_COMMIT "{commit or "unknown"}")\n'
        'set(BUILD_COMPILER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")\n'
        'set(BUILD_TARGET "")\n'
        "configure_file(common/build-info.cpp.in common/build-info.cpp @ONLY)\n",
        encoding="utf-8",
    )


def move_tree(unpacked: Path, below: str, target: Path) -> Path:
    """Put what lies below a path in an archive's single top folder at a fixed place.

    Raises:
        CompileError: The archive has no such folder.
    """
    tops = [path for path in unpacked.iterdir() if path.is_dir()]
    for top in tops:
        if (top / below).is_dir():
            shutil.move(top / below, target)
            return target
    raise CompileError(f"the archive has no folder {below or '.'} with sources")
