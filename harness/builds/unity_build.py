"""Compiles and links a program as few large units, on all cores and never on more."""

import heapq
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.builds.cmake_model import Program
from harness.builds.toolchain import Toolchain
from harness.builds.unity import Unit, UnityPlanner, unit_text
from harness.errors import CompileError
from harness.processes.running import run_program
from harness.terminal import Task

_SUFFIX = {"C": ".c", "CXX": ".cpp"}

_COMPUTES = re.compile(r"ggml.*|llama")
"""cmake targets whose code runs once per token and number, not once per request."""

_POLL_S = 0.2

_GCC_MEMORY = ("--param", "ggc-min-expand=300", "--param", "ggc-min-heapsize=524288")
"""Lets GCC use half a gigabyte before it looks for garbage: large units gain a tenth."""


class UnityBuild:
    """One program on its way from sources to an executable."""

    def __init__(
        self,
        program: Program,
        toolchain: Toolchain,
        *,
        directory: Path,
        jobs: int,
        light_flags: Sequence[str] = (),
        env: Mapping[str, str],
        task: Task,
        cancelled: threading.Event,
    ) -> None:
        """Prepare.

        Args:
            program: What to build.
            toolchain: What with.
            directory: An empty directory for units and objects.
            jobs: Compilers at once.
            light_flags: Further compiler flags for all but the targets that do the arithmetic.
            env: Variables for the compilers.
            task: Where to show how far it is.
            cancelled: Ends the build when set.
        """
        self._program = program
        self._toolchain = toolchain
        self._directory = directory
        self._light_flags = light_flags
        self._env = env
        self._task = task
        self._cancelled = cancelled
        self._jobs = jobs
        self._planner = UnityPlanner(program.groups, jobs=jobs)
        self._waiting: list[tuple[int, int, Unit]] = []
        self._workers = 0
        self._under_way = 0
        self._numbered = 0
        self._finished = 0
        self._objects: dict[int, Path] = {}
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self.divided = 0
        """How many units the compiler refused and were divided."""

    def run(self) -> Path:
        """Build, and return the executable.

        Raises:
            CompileError: A source does not compile even on its own, or the link fails.
            CancelledError: The user gave up.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        for unit in self._planner.plan():
            self._push(unit)
        try:
            for _ in range(self._jobs):
                with self._changed:
                    self._workers += 1
                threading.Thread(target=self._work_until_done, daemon=True).start()
            self._wait()
        except BaseException:
            self._cancelled.set()
            self._wait()
            raise
        if self._failure:
            raise self._failure
        return self._link()

    def _push(self, unit: Unit) -> None:
        heapq.heappush(self._waiting, (-unit.cost, self._numbered, unit))
        self._numbered += 1

    def _wait(self) -> None:
        """Wait until all workers are done.

        Not by ``Thread.join``: until Python 3.13 a join that Ctrl-C interrupts takes the thread
        for ended. And in slices, since a wait without end would not notice Ctrl-C everywhere.
        """
        with self._changed:
            while self._workers:
                self._changed.wait(_POLL_S)

    def _work_until_done(self) -> None:
        try:
            self._work()
        finally:
            with self._changed:
                self._workers -= 1
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and self._under_way and not self._failure:
                    self._changed.wait()
                if self._failure or not self._waiting:
                    return
                _, number, unit = heapq.heappop(self._waiting)
                self._under_way += 1
            parts: list[Unit] = []
            failure: BaseException | None = None
            try:
                parts = self._compile(number, unit)
            except BaseException as error:  # noqa: BLE001  # handed to the thread that waits
                failure = error
            with self._changed:
                self._under_way -= 1
                self._finished += 1
                self._failure = self._failure or failure
                self.divided += bool(parts)
                for part in parts:
                    self._push(part)
                self._task.reach(self._finished, self._numbered + 1)
                self._changed.notify_all()

    def _compile(self, number: int, unit: Unit) -> list[Unit]:
        """Compile a unit; return the units to compile instead if the compiler refuses it."""
        alone = len(unit.sources) == 1
        source = unit.sources[0]
        if not alone:
            source = self._directory / f"{unit.group.target}-{number}{_SUFFIX[unit.group.language]}"
            source.write_text(unit_text(unit, source.parent), encoding="utf-8")
        compiled = self._directory / f"{unit.group.target}-{number}.o"
        compiler = (
            self._toolchain.c_compiler if unit.group.language == "C" else self._toolchain.compiler
        )
        launcher = [self._toolchain.cache] if self._toolchain.cache else []
        memory = _GCC_MEMORY if self._toolchain.is_gcc else ()
        light = () if _COMPUTES.fullmatch(unit.group.target) else self._light_flags
        outcome = run_program(
            [
                *(*launcher, compiler, *unit.group.arguments, *light, *memory),
                *("-o", compiled.name, "-c", source),
            ],
            directory=self._directory,
            cancelled=self._cancelled,
            env=self._env,
        )
        if outcome.returncode == 0:
            self._objects[number] = compiled
            return []
        if alone:
            raise CompileError(f"{source.name} does not compile: {first_error(outcome.stdout)}")
        return self._planner.divide(unit, outcome.stdout, self._directory)

    def _link(self) -> Path:
        binary = self._program.binary
        binary.parent.mkdir(parents=True, exist_ok=True)
        objects = self._directory / "objects.txt"
        objects.write_text(
            "".join(f'"{self._objects[number].name}"\n' for number in sorted(self._objects)),
            encoding="utf-8",
        )
        outcome = run_program(
            [
                self._toolchain.compiler,
                f"@{objects.name}",
                "-o",
                binary,
                *self._program.link_arguments,
            ],
            directory=self._directory,
            cancelled=self._cancelled,
            env=self._env,
        )
        if outcome.returncode:
            raise CompileError(f"{binary.name} does not link: {first_error(outcome.stdout)}")
        return binary


def first_error(output: str) -> str:
    """Return the line of a compiler's output that says what went wrong."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for sign in ("undefined reference", "Undefined symbols", "error:", "Error", "FAILED"):
        for line in lines:
            if sign in line and not line.startswith("collect2:"):
                return line
    return lines[-1] if lines else "no message"
