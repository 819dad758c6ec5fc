"""The commands that the documentation and the README show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


@dataclass(frozen=True, kw_only=True)
class DocumentedCommand:
    """One command of ours.

    Attributes:
        words: After ``llama-harness``.
    """

    page: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {shlex.join(self.words)}"


def documented_commands() -> Iterator[DocumentedCommand]:
    """Every command ``$ llama-harness ...`` of a console block, and every matrix run by nox."""
    for page in PAGES:
        inside = False
        lines = enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        for number, line in lines:
            if line.startswith("```"):
                inside = line.strip() == "```console"
            elif inside:
                whole = line
                while whole.endswith("\\"):
                    whole = whole[:-1] + next(lines)[1]
                words = _words(whole)
                if words is not None:
                    yield DocumentedCommand(page=page.name, line=number, words=tuple(words))


def _words(line: str) -> list[str] | None:
    if found := re.match(r"\$ llama-harness (.*)", line):
        return shlex.split(found[1], comments=True)
    if found := re.match(r"\$ nox -s matrix(?: -- (.*))?$", line):
        return ["matrix", *shlex.split(found[1] or "", comments=True)]
    return None
