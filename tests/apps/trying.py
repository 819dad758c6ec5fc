"""Puts an application under test as its maintainer would, in a folder of its own."""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from harness.builds.locations import cache_root
from harness.cells.qualification import MODELS_DIRECTORY
from harness.gguf_models import ensure_models
from harness.model import CellResult
from harness.report.jsonl import read_results
from tests.apps.gallery import MODELS, ROOT, App

RESULTS: Final = "results.jsonl"
KEPT: Final = ROOT / ".nox" / "apps-installed"
"""Holds what is installed, from one run to the next: a later one needs no network."""
_DONE: Final = "installed.json"
_HOME: Final = "home-"
_INSTALL_S: Final = 900
_COMMAND_S: Final = 1800
_PROBE_S: Final = 60
_OLD_PACKAGES: Final = {"pip": "packaging", "npm": "npm"}
"""An index that has none of these is not reached."""


class CannotTryError(Exception):
    """The application cannot be had, or driven; the message quotes what was said."""


class NotHereError(CannotTryError):
    """This host has no npm, or reaches no index of packages."""


@dataclass(frozen=True, kw_only=True)
class Installed:
    """An application in an interpreter of its own.

    Attributes:
        app: The application.
        version: That was installed; empty for one without a package.
        folder: Holds all of it.
        site: Where its package lies.
        programs: Where its programs lie; None for one that brings none.
    """

    app: App
    version: str
    folder: Path
    site: Path
    programs: Path | None

    def variables(self, home: Path) -> Mapping[str, str]:
        """The variables of its processes."""
        path = [*([str(self.programs)] if self.programs else []), os.environ["PATH"]]
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("XDG_")},
            "HOME": str(home),
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": "",
            # The home is the application's; our store stays where it is.
            "LLAMA_HARNESS_CACHE": str(cache_root()),
        }

    def filled(self, text: str, home: Path) -> str:
        """A text of its file, with the paths of this installation."""
        return text.replace("{home}", str(home)).replace("{site}", str(self.site))


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
    """Install an application, or take what is installed already.

    Args:
        app: The application.
        folder: Becomes the folder of its own.
        latest: Whether the newest version is wanted, in place of the one that is pinned.

    Raises:
        NotHereError: There is no npm, or no network.
        CannotTryError: The package cannot be had.
    """
    wanted = _wanted([*app.file.pip, *app.file.npm], latest=latest)
    done = folder / _DONE
    written = msgspec.json.encode(wanted)
    if not done.exists() or done.read_bytes() != written:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            _fetch(app, folder, wanted)
        except NotHereError:
            raise
        except CannotTryError as error:
            kind = "npm" if app.file.npm else "pip"
            if _is_reached(kind):
                raise
            raise NotHereError(f"no index of packages is reached by {kind}") from error
        done.write_bytes(written)
    programs = _programs(folder) if app.file.pip else None
    site = folder / "node_modules" if app.file.npm else _site(folder) if programs else folder
    return Installed(
        app=app, version=_version(app, site), folder=folder, site=site, programs=programs
    )


def _fetch(app: App, folder: Path, wanted: Sequence[str]) -> None:
    if app.file.pip:
        venv.create(folder / "venv", with_pip=True, symlinks=os.name == "posix")
        pip = [str(_programs(folder) / "python"), "-m", "pip", "install", "-q"]
        _run([*pip, *(["--no-deps"] if app.file.alone else []), *wanted], folder)
    if app.file.npm:
        npm = shutil.which("npm")
        if npm is None:
            raise NotHereError("there is no npm here")
        words = [npm, "install", "--ignore-scripts", "--omit=dev", "--no-fund", "--no-audit"]
        _run([*words, "--prefix", str(folder), *wanted], folder)


def _programs(folder: Path) -> Path:
    return folder / "venv" / ("Scripts" if os.name == "nt" else "bin")


def _site(folder: Path) -> Path:
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(_run([str(_programs(folder) / "python"), "-c", asked], folder).strip())


def _is_reached(kind: str) -> bool:
    """Whether an index of packages has what it has had for years."""
    package = _OLD_PACKAGES[kind]
    with tempfile.TemporaryDirectory() as folder:
        if kind == "npm":
            words = [shutil.which("npm") or "npm", "view", package, "version"]
        else:
            words = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", package]
        try:
            _run(words, Path(folder), within_s=_PROBE_S)
        except CannotTryError:
            return False
    return True


def _wanted(requirements: Sequence[str], *, latest: bool) -> list[str]:
    if not latest:
        return [*requirements]
    return [
        one.partition("==")[0] if "==" in one else one.rpartition("@")[0] for one in requirements
    ]


def _version(app: App, site: Path) -> str:
    name, pinned = app.package
    if app.file.npm:
        package = msgspec.json.decode((site / name / "package.json").read_bytes())
        return str(package["version"])
    found = sorted(site.glob(f"{name.replace('-', '_')}-*.dist-info")) if name else []
    return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else pinned


def _lay_out(installed: Installed, home: Path) -> None:
    models = ensure_models(cache_root() / MODELS_DIRECTORY)
    places = {f"{name}.gguf": name for name in MODELS} | installed.app.file.models
    for place, name in places.items():
        file = home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(models[name].path, file)
    for place, text in installed.app.file.files.items():
        file = home / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(installed.filled(text, home), encoding="utf-8")


def try_out(installed: Installed, builds: Sequence[str] = ("--profile", "full")) -> Tried:
    """Run what the gallery shows for it, in a home of its own.

    Raises:
        CannotTryError: The application started no server anywhere, or a command of ours failed.
    """
    # Node looks for modules in the folders above a script.
    with tempfile.TemporaryDirectory(
        prefix=_HOME, dir=installed.folder, ignore_cleanup_errors=True
    ) as folder:
        home = Path(folder)
        _lay_out(installed, home)
        return _tried(installed, home, builds)


def _tried(installed: Installed, home: Path, builds: Sequence[str]) -> Tried:
    app, variables = installed.app, installed.variables(home)
    if app.file.before:
        _run([installed.filled(word, home) for word in app.file.before], home, variables)
    said = ""
    ours = {**variables, "PYTHONPATH": str(ROOT)}
    for words in app.commands(builds):
        told = ["-n", "0", "--jsonl", RESULTS] if words[0] == "matrix" else []
        command = [sys.executable, "-m", "harness", words[0], "-q", *told, *words[1:]]
        filled = [installed.filled(word, home) for word in command]
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
