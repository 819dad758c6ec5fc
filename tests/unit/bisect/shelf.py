"""A store full of builds whose program is a small script, and commands that look at them."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from harness.builds.hosts import host_fingerprint
from tests.signals import interruptible

DIGEST = "0" * 64
ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True, kw_only=True)
class Shelf:
    """``numbers`` name the builds that are in the store at ``root``."""

    root: Path
    numbers: Sequence[int]

    @property
    def runs(self) -> Path:
        """Where a command notes each build that it looked at."""
        return self.root / "runs.txt"

    @property
    def env(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "LLAMA_HARNESS_CACHE": str(self.root),
            "PYTHONPATH": str(ROOT),
        }

    def tested(self) -> list[str]:
        return self.runs.read_text().split() if self.runs.exists() else []

    def command(self, expression: str, *, sleep_s: float = 0.0) -> list[str]:
        """A command that ends with the status that an expression over ``number`` gives."""
        script = self.root / "command.py"
        script.write_text(
            "import os, sys, time\n"
            "build = os.environ['LLAMA_HARNESS_BUILD']\n"
            "number = int(build[1:])\n"
            "assert build in os.environ['LLAMA_SERVER']\n"
            f"time.sleep({sleep_s})\n"
            f"with open({str(self.runs)!r}, 'a') as file: file.write(build + '\\n')\n"
            "print('looked at', build)\n"
            f"sys.exit({expression})\n"
        )
        return [sys.executable, "-S", "-E", str(script)]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._words(*arguments),
            env={**self.env, "PYTHONWARNINGS": "error"},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def start_interruptible(self, *arguments: str) -> "subprocess.Popen[str]":
        # An interrupt within Popen leaves its object to the collector, which then may warn.
        env = {**self.env, "PYTHONWARNINGS": "default::DeprecationWarning"}
        return interruptible(self._words(*arguments), env=env, directory=self.root)

    def _words(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "harness", "bisect", *arguments]

    def bisect(self, *arguments: str) -> tuple[int, str, str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=120)
        return process.returncode, out, err


def make_shelf(root: Path, numbers: Sequence[int]) -> Shelf:
    """Put the builds into a new store."""
    catalogue = root / "catalogue"
    catalogue.mkdir()
    host = msgspec.to_builtins(host_fingerprint())
    for number in numbers:
        build_id = f"b{number}"
        (catalogue / f"{build_id}.toml").write_text(
            f'id = "{build_id}"\nnumber = {number}\n[[sources]]\nkind = "package"\n'
            f'project = "p"\nversion = "{number}"\nfile = "p-{number}.tar.gz"\n'
            f'sha256 = "{DIGEST}"\n'
        )
        directory = root / "builds" / build_id
        directory.mkdir(parents=True)
        (directory / "llama-server").write_text("")
        (directory / "manifest.json").write_text(
            json.dumps(
                {
                    "build": build_id,
                    "number": number,
                    "source": "package",
                    "asset": f"p-{number}.tar.gz",
                    "sha256": DIGEST,
                    "binary": "llama-server",
                    "env": {},
                    "details": {},
                    "reported_version": "",
                    "seconds": 1.0,
                    "acquired": "2026-01-01T00:00:00Z",
                    "files": {},
                    "qualified": [{"host": host, "at": "2026-01-01T00:00:00Z"}],
                }
            )
        )
    return Shelf(root=root, numbers=numbers)
