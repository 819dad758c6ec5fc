"""Runs Windows programs on Linux under Wine, each run in a Windows of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_DEBIANS: Final = "/usr/lib/wine"
"""Where Debian's wine64 keeps what it puts on nobody's PATH."""


_PREFIX_S: Final = 300
"""A prefix is some thousand files, and a Windows that starts."""


class WineError(Exception):
    """A program under Wine did not do what it was started for."""


@dataclass(frozen=True, kw_only=True)
class Wine:
    """Wine with one prefix, which is its C: drive and registry.

    Attributes:
        program: The loader.
        server: The process that all of a prefix's processes talk to.
        prefix: The directory.
    """

    program: Path
    server: Path
    prefix: Path

    def call(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        env: Mapping[str, str] | None = None,
        shown: bool = True,
    ) -> tuple[int, str]:
        """Run a Windows program to its end; return its exit status and its output.

        Args:
            command: The program and its arguments; a path is handed over as Windows writes it.
            directory: Its working directory.
            env: Variables over this process's own.
            shown: Whether its output is shown as it comes.
        """
        words = [windows_path(word) if isinstance(word, Path) else word for word in command]
        with subprocess.Popen(
            [str(self.program), *words],
            cwd=directory,
            env=self.variables(env or {}),
            # Wine hands on neither a terminal nor a file in a way that Python's streams accept.
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process:
            assert process.stdout is not None
            said = []
            for line in process.stdout:
                said.append(line)
                if shown:
                    sys.stdout.write(line)
                    sys.stdout.flush()
        return process.returncode, "".join(said)

    def check(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        env: Mapping[str, str] | None = None,
    ) -> str:
        """Run a Windows program that must end well, and return its output.

        Raises:
            WineError: It did not.
        """
        status, said = self.call(command, directory=directory, env=env, shown=False)
        if status:
            words = " ".join(map(str, command[:4]))
            raise WineError(f"{words} ended with status {status}:\n{said}")
        return said

    def variables(self, added: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for a program: this process's own, without its Python's."""
        own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return {
            **own,
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            # Neither .NET nor a browser is asked for when the prefix is made.
            "WINEDLLOVERRIDES": "mscoree,mshtml=",
            **added,
        }


def windows_path(path: Path) -> str:
    """Write a path as Wine's Z: drive has it."""
    return "Z:" + str(path.absolute()).replace("/", "\\")


def find_wine() -> tuple[Path, Path] | None:
    """Return Wine's loader for 64 bits and its server, or None where there is no Wine."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _DEBIANS])
    program = shutil.which("wine64", path=path)
    server = shutil.which("wineserver", path=path) or shutil.which("wineserver64", path=path)
    return (Path(program), Path(server)) if program and server else None


@contextmanager
def opened_wine() -> Iterator[Wine]:
    """Give Wine with a prefix of its own; whatever runs in it at the end is ended, and it is gone.

    Raises:
        WineError: There is no Wine, or it makes no prefix.
    """
    found = find_wine()
    if found is None:
        raise WineError("there is no Wine here: `apt install wine64`")
    with tempfile.TemporaryDirectory(prefix="wine-", ignore_cleanup_errors=True) as directory:
        wine = Wine(program=found[0], server=found[1], prefix=Path(directory) / "prefix")
        wine.prefix.mkdir()  # Its server takes none that is not there.
        try:
            # What these leave running would hold on to the output of the first program.
            for command in ((wine.server, "-p"), (wine.program, "cmd", "/c", "ver")):
                if _quietly(wine, *command):
                    raise WineError(f"Wine makes no prefix in {wine.prefix}")
            yield wine
        finally:
            for option in ("-k", "-w"):
                _quietly(wine, wine.server, option)


def _quietly(wine: Wine, *command: str | Path) -> int:
    done = subprocess.run(
        list(map(str, command)),
        env=wine.variables({}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_PREFIX_S,
        check=False,
    )
    return done.returncode
