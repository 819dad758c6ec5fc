"""The harness and everything it depends on as wheels, for machines that reach no package index."""

import json
import sys
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from harness.errors import HarnessError, SourceUnavailableError, UsageError
from harness.processes.running import ask

_PROJECT = "llama-harness"
_PIP_S = 900


def collect_wheels(directory: Path, *, python: str | None = None) -> tuple[Path, ...]:
    """Put the wheels into a directory and return them, pip's own among them.

    Args:
        directory: Exists and is empty.
        python: The version to be run with, such as ``3.12``; this interpreter's if None. The
            platform is this one.

    Raises:
        SourceUnavailableError: pip is missing, or cannot get or make one of them.
    """
    pip = partial(run_pip, raises=SourceUnavailableError, failed="cannot get the harness's wheels")
    pip(["wheel", "--no-deps", "--wheel-dir", str(directory), _own_requirement()])
    (wheel,) = directory.glob("llama_harness-*.whl")
    wanted = ["--python-version", python] if python else []
    options = ["--only-binary=:all:", *wanted, "--dest", str(directory)]
    pip(["download", *options, str(wheel), "pip"])
    return tuple(sorted(directory.glob("*.whl")))


def parse_python(text: str) -> str:
    """Read a Python version of two numbers.

    Raises:
        UsageError: It is none, or one that the harness does not run on.
    """
    major, dot, minor = text.partition(".")
    if not (dot and major == "3" and minor.isdecimal() and int(minor) >= 11):  # noqa: PLR2004
        raise UsageError(f"--python takes a version such as 3.12, from 3.11 on, not {text!r}")
    return text


def _own_requirement() -> str:
    """Return what pip makes the harness's own wheel from: its checkout, else the released one."""
    distribution = metadata.distribution(_PROJECT)
    told = distribution.read_text("direct_url.json")
    url = json.loads(told)["url"] if told else ""
    if url.startswith("file:"):
        return url2pathname(urlsplit(url).path)
    return f"{_PROJECT}=={distribution.version}"


def run_pip(arguments: Sequence[str], *, raises: type[HarnessError], failed: str) -> None:
    """Run this interpreter's pip, which reads the user's own pip configuration.

    Args:
        arguments: The command and what is for it.
        raises: Raised where pip is missing, fails or takes too long, with pip's own last line.
        failed: What the error says of the command.
    """
    # No questions: a program in a group of its own cannot ask at the terminal.
    options = ("--disable-pip-version-check", "--no-input", "-q")
    command = [sys.executable, "-m", "pip", *options, *arguments]
    try:
        done = ask(command, timeout_s=_PIP_S)
    except OSError as error:
        raise raises(f"pip {arguments[0]}: {error}") from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        said = [line for line in lines if line.startswith("ERROR")] or lines or ["no message"]
        raise raises(f"pip {arguments[0]} {failed}: {said[-1].removeprefix('ERROR: ')}")
