"""Making the files that a program's sources include, and nothing else.

ninja would first build every library that the program links, since cmake orders generated files
after them. So each file's own command is taken from ninja and run by itself.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from harness.errors import CompileError
from harness.processes.running import Answer


class GeneratedFiles:
    """Runs the custom commands of a configured tree."""

    def __init__(self, ninja: Path, build: Path, run: Callable[..., Answer]) -> None:
        """Name the tree.

        Args:
            ninja: The ninja program.
            build: The build directory.
            run: Runs a command there.
        """
        self._ninja = ninja
        self._build = build
        self._run = run
        self._made: set[str] = set()
        self._commands: set[str] = set()

    def make(self, outputs: Iterable[str]) -> None:
        """Make files or ninja targets, after whatever they are made from.

        Raises:
            CompileError: A command fails.
        """
        for output in outputs:
            if output not in self._made:
                self._made.add(output)
                self._make(output)

    def _make(self, output: str) -> None:
        rule, inputs, tools = self._query(output)
        if rule == "phony":
            self.make(inputs)
        elif rule == "CUSTOM_COMMAND":
            self.make(inputs)
            self.make(tool for tool in tools if "EXECUTABLE" in self._query(tool)[0])
            self._run_command(output)
        elif rule:
            # A tool that writes other files: ninja builds it as usual.
            self._checked(self._ninja, output)

    def _query(self, output: str) -> tuple[str, list[str], list[str]]:
        """Return a file's rule (empty for a source), what it is made from, what comes before."""
        answer = self._run(self._ninja, "-t", "query", output)
        rule, inputs, before = "", [], []
        for line in answer.stdout.splitlines()[1:] if answer.returncode == 0 else ():
            text = line.strip()
            if text.startswith("input:"):
                rule = text.removeprefix("input:").strip()
            elif text.startswith(("outputs:", "validations:")):
                break
            elif text.startswith("||"):
                before.append(text.removeprefix("||").strip())
            else:
                inputs.append(text.removeprefix("|").strip())
        return rule, inputs, before

    def _run_command(self, output: str) -> None:
        listed = self._checked(self._ninja, "-t", "commands", "-s", output)
        for command in listed.stdout.splitlines():
            # One command may write several of the files.
            if command not in self._commands:
                self._commands.add(command)
                self._checked("/bin/sh", "-c", command)

    def _checked(self, *command: str | Path) -> Answer:
        outcome = self._run(*command)
        if outcome.returncode:
            said = outcome.stdout.strip().splitlines() or ["no message"]
            raise CompileError(f"a generated file cannot be made: {said[-1]}")
        return outcome
