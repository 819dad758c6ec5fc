"""The applications of the gallery: each a file of ``examples/apps`` that says how it is driven."""

import shlex
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "examples" / "apps"
MOST_LINES: Final = 20
ENVIRONMENTS: Final = ("cpu", "cuda-spoof")
MODELS: Final = ("tiny-llama", "tiny-mtp")
"""Lie in an application's home, each as a file of that name."""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of the gallery says.

    Attributes:
        about: What the application is, and how it is driven.
        pip: What pip installs; the first with the version that the results are of.
        npm: Likewise of npm.
        alone: Whether pip leaves out what it depends on.
        files: What is to lie in the home, by path there.
        models: Tiny models under other paths there.
        before: A program that is run before, without the harness.
        record: Options of ``llama-harness record``.
        run: What is recorded.
        subject: The subject, where nothing needs to be recorded.
    """

    about: str
    pip: list[str] = []
    npm: list[str] = []
    alone: bool = False
    files: dict[str, str] = {}
    models: dict[str, str] = {}
    before: list[str] = []
    record: list[str] = []
    run: list[str] = []
    subject: str = ""


@dataclass(frozen=True, kw_only=True)
class App:
    """An application under test.

    Attributes:
        name: Of its file.
        file: What that says.
    """

    name: str
    file: _File

    @property
    def package(self) -> tuple[str, str]:
        """The package's name and the version that the results are of; empty where it has none."""
        if self.file.npm:
            name, _, version = self.file.npm[0].rpartition("@")
        elif self.file.pip:
            name, _, version = self.file.pip[0].partition("==")
        else:
            return "", ""
        return name, version

    def commands(self, builds: Sequence[str] = ("--profile", "full")) -> Iterator[list[str]]:
        """Our commands that lead to a verdict, one or two."""
        subject = self.file.subject
        if not subject:
            recorded = f"{self.name}.json"
            environments = [word for name in ENVIRONMENTS for word in ("--env", name)]
            yield ["record", *builds, *environments, *self.file.record, "-o", recorded, "--",
                   *self.file.run]  # fmt: skip
            subject = f"recording:{recorded}"
        yield ["matrix", *builds, "--subject", subject]

    def shown(self) -> Iterator[str]:
        """What a maintainer types, from the installation on."""
        quiet = "--no-deps " if self.file.alone else ""
        if self.file.pip:
            yield f"pip install {quiet}{' '.join(self.file.pip)}"
        if self.file.npm:
            yield f"npm install {' '.join(self.file.npm)}"
        if self.file.before:
            yield shlex.join(self.file.before)
        for words in self.commands():
            yield " ".join(["llama-harness", *map(_typed, words)])


def _typed(word: str) -> str:
    """A word for a shell, which leaves ``~`` and ``{shim}`` as they are."""
    return word if word.startswith("~/") or word == "{shim}" else shlex.quote(word)


def gallery() -> tuple[App, ...]:
    """Every application, by name."""
    return tuple(
        App(name=path.stem, file=msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File))
        for path in sorted(FOLDER.glob("*.toml"))
    )
