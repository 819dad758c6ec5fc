"""From a source tree of llama.cpp to one stripped, static, headless llama-server."""

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Final

from harness.builds.card_starter import CardStarter, compile_starter
from harness.builds.cmake_model import ask_for_model, read_sources
from harness.builds.headers import CARD_STARTER
from harness.builds.manifest import options_text
from harness.builds.platforms import Platform
from harness.builds.sources.base import Turn
from harness.builds.tables import read_table
from harness.builds.toolchain import Toolchain
from harness.builds.unity import SINGLE_SOURCES, UnityPlanner, cmake_text, divide
from harness.errors import CompileError
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.processes.running import Answer, run_program, usable_cores
from harness.terminal import Progress, Task

LIGHT_FLAGS = ("-O0",)
"""For argument parsing, JSON, HTTP and what loads and lays out models: a third of their compile
time lies in optimising them, and what a cell runs of them takes milliseconds."""

GCC_MEMORY = " --param ggc-min-expand=300 --param ggc-min-heapsize=524288"
"""Lets GCC use half a gigabyte before it looks for garbage: large units gain a tenth."""

TAIL: Final = 3
"""Steps that are left when a compile does not need all cores any more: a unit, its library, the
program."""

_SERVER = "llama-server"

_LINKER_FAILED: Final = re.compile(r"collect2: |\S+: error: linker command failed")
"""What GCC and clang say after the linker's own words."""


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """A compiled server.

    Attributes:
        binary: The program, stripped.
        details: Compiler, options, seconds and the like, for the manifest.
    """

    binary: Path
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


_OPTIONS: Mapping[str, Mapping[str, str]] = read_table("recipe.toml")

_WEB_PAGE: Final = "-DLLAMA_UI_DEFAULT_ENABLED=1"
"""Where there is no web page, upstream says 0 to one library alone (b9174 on): the linker decides
whether a server has it switched on. Releases have."""

FAST = Recipe(
    unity=True,
    flags=f"-O1 -DNDEBUG -w -g0 {_WEB_PAGE}",
    options={**_OPTIONS["headless"], **_OPTIONS["oldest_cpu"], **_OPTIONS["fast"]},
)
"""The harness's own recipe."""


def recipe_with(options: Mapping[str, str]) -> Recipe:
    """Return the harness's own recipe with a source's options over it."""
    return replace(FAST, options={**FAST.options, **options})


PLAIN = Recipe(unity=False, flags="", options=_OPTIONS["headless"])
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
    turn: Turn | None = None,
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
        turn: The turn to compile, begun once it is configured; None where nobody waits.

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
            env={**_compiler_env(scratch, toolchain), OWNER_VARIABLE: reaper.token},
            task=task,
            cancelled=cancelled,
            turn=turn,
        )
        starter = compile_starter(
            *(tree, scratch, recipe.options, toolchain, platform),
            env=work.env,
            cancelled=cancelled,
        )
        if starter and recipe.unity:
            work.starter = starter
            work.details[CARD_STARTER] = starter.headers
        try:
            joins = recipe.unity and toolchain.can_join
            work.configure(tree, recipe, number, commit, joins=joins)
            if not (joins and work.by_units()):
                work.by_ninja()
            binary = work.build / "bin" / platform.server_name
            work.strip(binary)
        except CompileError as error:
            raise CompileError(f"{label}: {error}") from error
    return Compiled(
        binary=binary,
        details={
            "compiler": toolchain.compiler_version,
            "compiler_refused": toolchain.refused,
            "cache": toolchain.cache.name if toolchain.cache else "",
            "flags": recipe.flags or "Release",
            "options": options_text(recipe.options),
            **work.details,
            "compile_seconds": f"{time.monotonic() - start:.1f}",
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
    turn: Turn | None
    starter: CardStarter | None = None
    details: dict[str, str] = field(default_factory=dict)

    @property
    def build(self) -> Path:
        return self.scratch / "build"

    @property
    def units(self) -> Path:
        """What cmake is told of which sources to join."""
        return self.scratch / "units.cmake"

    def configure(
        self, tree: Path, recipe: Recipe, number: int, commit: str, *, joins: bool
    ) -> None:
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
                    memory = GCC_MEMORY if recipe.unity and self.toolchain.is_gcc else ""
                    variables[f"CMAKE_{language}_FLAGS_RELEASE"] = recipe.flags + memory
            if self.toolchain.cache:
                variables[f"CMAKE_{language}_COMPILER_LAUNCHER"] = str(self.toolchain.cache)
        if joins:
            self._tell_cmake(SINGLE_SOURCES)
            variables["CMAKE_PROJECT_TOP_LEVEL_INCLUDES"] = str(self.units)
        if self.starter:
            for name, more in self.starter.variables.items():
                variables[name] = f"{variables.get(name, '')} {more}".strip()
        self._cmake(
            *("-G", "Ninja", "-S", str(tree), "-B", str(self.build)),
            *(f"-D{name}={value}" for name, value in variables.items()),
        )

    def by_units(self) -> bool:
        """Compile many sources at a time; False where the tree has languages it cannot join."""
        groups = read_sources(self.build, _SERVER)
        if not {group.language for group in groups} <= {"C", "CXX"}:
            return False
        units = {unit.name: unit for unit in UnityPlanner(groups, jobs=usable_cores()).plan()}
        divided = 0
        while True:
            self._tell_cmake(cmake_text(list(units.values()), LIGHT_FLAGS))
            self._cmake(str(self.build))
            # All that compiles is compiled before what does not is divided.
            outcome = self._ninja("-k", "0", _SERVER)
            if outcome.returncode == 0:
                break
            failures = _failures(outcome.stdout)
            if not failures:
                raise CompileError(first_error(outcome.stdout))
            for failed, said in failures:
                name = re.search(r"/Unity/unity_(.+)_c(?:xx)?\.c", failed)
                if name is None:
                    raise CompileError(_reason(failed, said))
                refused = units.pop(name[1])
                units |= {part.name: part for part in divide(refused, said, self.build)}
                divided += 1
        self.details |= {"recipe": "unity", "divided_units": str(divided)}
        return True

    def by_ninja(self) -> None:
        """Compile each source by itself."""
        self.details["recipe"] = "plain"
        outcome = self._ninja(_SERVER)
        if outcome.returncode:
            raise CompileError(first_error(outcome.stdout))

    def strip(self, binary: Path) -> None:
        if self.toolchain.strip:
            self._run(self.toolchain.strip, binary)

    def _tell_cmake(self, text: str) -> None:
        self.units.write_text(text, encoding="utf-8", newline="\n")

    def _cmake(self, *arguments: str) -> None:
        outcome = self._run(self.toolchain.cmake, *arguments)
        if outcome.returncode:
            raise CompileError(f"cmake cannot configure it: {_cmake_error(outcome.stdout)}")

    def _ninja(self, *arguments: str) -> Answer:
        if self.turn:
            self.turn.begin()
        return self._run(self.toolchain.ninja, "-j", str(usable_cores()), *arguments)

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
            done, of = int(step[1]), int(step[2])
            self.task.reach(done, of)
            # On one core what is left has not begun.
            if self.turn and 0 < of - done <= min(TAIL, 2 * usable_cores() - 1):
                self.turn.end()


def _compiler_env(scratch: Path, toolchain: Toolchain) -> dict[str, str]:
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
    # Units are known again by the files they are made of; else each would be preprocessed besides.
    env.setdefault("CCACHE_DEPEND", "1")
    # A fetched compiler is as old as the day it came; what it is, its text says.
    env.setdefault("CCACHE_COMPILERCHECK", "content")
    if toolchain.cache_directory:
        env.setdefault("CCACHE_DIR", str(toolchain.cache_directory))
    env["LC_ALL"] = "C"
    return env


def _cmake_error(output: str) -> str:
    # Some errors go on below a line that ends with a colon: which file, which target.
    found = re.search(r"CMake Error[^\n]*\n+(?:[^\n]+:\n+)*\s*([^\n]+)", output)
    return " ".join(found[0].split()) if found else first_error(output)


def _failures(output: str) -> list[tuple[str, str]]:
    """Return what ninja could not make, each with what was said of it."""
    parts = re.split(r"^FAILED: ", output, flags=re.MULTILINE)[1:]
    return [(lines[0], "\n".join(lines[2:])) for lines in map(str.splitlines, parts)]


def _reason(failed: str, said: str) -> str:
    name = PurePath(failed.rsplit(maxsplit=1)[-1]).name
    compiled, ending, _ = name.rpartition(".o")
    if ending:
        return f"{compiled} does not compile: {first_error(said)}"
    return f"{name} does not link: {first_error(said)}"


def first_error(output: str) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    said = (line.strip() for line in output.splitlines() if line.strip())
    lines = [line for line in said if not _LINKER_FAILED.match(line)]
    for sign in ("undefined reference", "Undefined symbols", "error:", "Error", "FAILED"):
        for line in lines:
            if sign in line:
                return line
    return lines[-1] if lines else "no message"


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
        newline="\n",
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
