"""Puts an application under test as its maintainer would, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.builds.locations import cache_root
from harness.cells.qualification import MODELS_DIRECTORY
from harness.gguf_models import ensure_models
from harness.model import CellResult
from harness.report.jsonl import read_results
from tests.apps.gallery import MODELS, ROOT, App

RESULTS: Final = "results.jsonl"
_INSTALL_S: Final = 900
_COMMAND_S: Final = 1800


class CannotTryError(Exception):
    """The application cannot be had, or driven; the message quotes what was said."""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An application in an interpreter of its own.

    Attributes:
        app: The application.
        version: That was installed; empty for one without a package.
        home: The user's home and working directory, for the application.
        variables: Of its processes.
        site: Where its package lies.
    """

    app: App
    version: str
    home: Path
    variables: Mapping[str, str]
    site: Path

    def filled(self, text: str) -> str:
        """A text of its file, with the paths of this installation."""
        return text.replace("{home}", str(self.home)).replace("{site}", str(self.site))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What became of an application.

    Attributes:
        version: The version that was tried.
        results: Of its cells.
        said: What our commands said.
    """

    version: str
    results: tuple[CellResult, ...]
    said: str = field(repr=False)


def install(app: App, folder: Path, *, latest: bool = False) -> Installed:
    """Install an application and lay out its home.

    Args:
        app: The application.
        folder: Becomes the folder of its own.
        latest: Whether the newest version is wanted, in place of the one that is pinned.

    Raises:
        CannotTryError: The package cannot be had, which is so where there is no network.
    """
    home, place = folder / "home", folder / "venv"
    home.mkdir(parents=True)
    site = place / "site"
    path = [os.environ["PATH"]]
    wanted = _wanted([*app.file.pip, *app.file.npm], latest=latest)
    if app.file.pip:
        venv.create(place, with_pip=True, symlinks=os.name == "posix")
        programs = place / ("Scripts" if os.name == "nt" else "bin")
        pip = [str(programs / "python"), "-m", "pip", "install", "-q"]
        _run([*pip, *(["--no-deps"] if app.file.alone else []), *wanted], folder)
        asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(_run([str(programs / "python"), "-c", asked], folder).strip())
        path.insert(0, str(programs))
    if app.file.npm:
        npm = [shutil.which("npm") or "npm", "install", "--ignore-scripts", "--omit=dev"]
        _run([*npm, "--no-fund", "--no-audit", "--prefix", str(home), *wanted], home)
        site = home / "node_modules"
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
        "HOME": str(home),
        "PATH": os.pathsep.join(path),
        "PYTHONPATH": "",
        # The home is the application's; our store stays where it is.
        "LLAMA_HARNESS_CACHE": str(cache_root()),
    }
    installed = Installed(
        app=app, version=_version(app, site), home=home, variables=variables, site=site
    )
    _lay_out(installed)
    return installed


def _wanted(requirements: Sequence[str], *, latest: bool) -> list[str]:
    if not latest:
        return [*requirements]
    return [
        one.partition("==")[0] if "==" in one else one.rpartition("@")[0] for one in requirements
    ]


def _version(app: App, site: Path) -> str:
    name, pinned = app.package
    if app.file.npm:
        import json

        return str(json.loads((site / name / "package.json").read_text("utf-8"))["version"])
    found = sorted(site.glob(f"{name.replace('-', '_')}-*.dist-info")) if name else []
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else pinned


def _lay_out(installed: Installed) -> None:
    models = ensure_models(cache_root() / MODELS_DIRECTORY)
    places = {f"{name}.gguf": name for name in MODELS} | installed.app.file.models
    for place, name in places.items():
        file = installed.home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(models[name].path, file)
    for place, text in installed.app.file.files.items():
        file = installed.home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(installed.filled(text), encoding="utf-8")


def try_out(installed: Installed, builds: Sequence[str] = ("--profile", "full")) -> Tried:
    """Run what the gallery shows for it.

    Raises:
        CannotTryError: The application started no server anywhere, or a command of ours failed.
    """
    app, home = installed.app, installed.home
    if app.file.before:
        _run([*map(installed.filled, app.file.before)], home, installed.variables)
    said = ""
    ours = {**installed.variables, "PYTHONPATH": str(ROOT)}
    for words in app.commands(builds):
        told = ["-n", "0", "--jsonl", RESULTS] if words[0] == "matrix" else []
        command = [sys.executable, "-m", "harness", words[0], "-q", *told, *words[1:]]
        filled = [installed.filled(word) for word in command]
        # A matrix with failures ends with 1, which is an answer.
        said += _run(filled, home, ours, within_s=_COMMAND_S, allowed={0, 1, 3})
    results = tuple(read_results([home / RESULTS]))
    if not any(result.argv or result.env for result in results):
        raise CannotTryError(f"{app.name}: no server was started\n{said}")
    return Tried(version=installed.version, results=results, said=said)


def _run(
    command: Sequence[str],
    directory: Path,
    env: Mapping[str, str] | None = None,
    *,
    within_s: float = _INSTALL_S,
    allowed: frozenset[int] | set[int] = frozenset({0}),
) -> str:
    try:
        done = subprocess.run(
            list(command),
            cwd=directory,
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotTryError(f"{' '.join(command[:4])}: {error}") from error
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode not in allowed:
        raise CannotTryError(f"{' '.join(command)}: ended with {done.returncode}\n{said[-3000:]}")
    return done.stdout if allowed == {0} else said
