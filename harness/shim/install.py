"""Writing the stand-in: a script where systems start scripts, a launcher program on Windows."""

import contextlib
import io
import json
import platform
import shlex
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Final

from harness.flags import families
from harness.gguf_models.models import PLAIN_MODEL
from harness.model import TinyModel
from harness.processes.reaper import OWNER_VARIABLE
from harness.processes.variables import LISTS
from harness.shim import recorder
from harness.shim.placing import MARK

SERVER: Final = "llama-server"
_SCRIPT: Final = """\
#!/bin/sh
{mark}{owner}
if [ ! -e {config} ]; then
    echo "llama-harness: $0 is a copy of the stand-in of a recording that is over: {put_back}" >&2
    exit {not_found}
fi
if [ $# -eq 1 ]; then
    case "$1" in
        {asks_only})
            {exports}exec {binary} "$1" ;;
    esac
fi
exec {python} -I -S {recorder} {config} "$0" "$@"
"""
_LAUNCHED: Final = """\
{mark}import sys
from {recorder} import main
sys.exit(main({config!r}, sys.argv[0], sys.argv[1:]))
"""
_LAUNCHERS: Final = {
    "AMD64": "t64.exe",
    "X86_64": "t64.exe",
    "ARM64": "t64-arm.exe",
    "AARCH64": "t64-arm.exe",
    "X86": "t32.exe",
}
_OF_ANOTHER_MODEL: Final = families.Family(
    flags=(
        *("--hf-file", "-hff", "--mmproj", "-mm", "--mmproj-url", "-mmu", "--lora"),
        *("--lora-scaled", "--control-vector", "--control-vector-scaled"),
    ),
    variables=("LLAMA_ARG_HF_FILE", "LLAMA_ARG_MMPROJ", "LLAMA_ARG_MMPROJ_URL"),
)
_RULES: Final = (
    (families.MODEL, "model", ""),
    (families.REMOTE_MODEL, "model", "-m"),
    (families.DRAFT_MODEL, "draft", ""),
    (families.REMOTE_DRAFT_MODEL, "draft", "-md"),
    (families.THREADS, "threads", ""),
    (_OF_ANOTHER_MODEL, "dropped", ""),
)
"""Whose value is replaced, by what kind of thing, and the flag that it then stands behind."""


@dataclass(frozen=True, kw_only=True)
class Shim:
    """Stand-ins on disk.

    Attributes:
        program: The one whose path an application is told.
        directory: Holds all of them and nothing else.
        recordings: The directory where every start leaves a file.
        started_as: The file that holds the paths of the stand-ins that recorded a start.
    """

    program: Path
    directory: Path
    recordings: Path
    started_as: Path


@contextlib.contextmanager
def programs_directory(root: Path) -> Iterator[Path]:
    """Give an empty directory for stand-ins that has the same path each time.

    While another recording has it, it is one of another path.

    Args:
        root: Of the store.
    """
    import filelock

    stable = root / "shim"
    locks = root / "locks"
    with contextlib.ExitStack() as held:
        try:
            locks.mkdir(parents=True, exist_ok=True)
            held.enter_context(filelock.FileLock(locks / "@shim.lock").acquire(timeout=0))
            shutil.rmtree(stable, ignore_errors=True)
            stable.mkdir()
            held.callback(shutil.rmtree, stable, ignore_errors=True)
        except (filelock.Timeout, OSError):  # taken, or a store that is only read
            stable = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="llama-harness-")))
        yield stable


def install_shim(
    directory: Path,
    state: Path,
    binary: Path,
    *,
    names: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    overriding: Mapping[str, str] | None = None,
    owner: str = "",
    models: Mapping[str, TinyModel] | None = None,
    windows: bool = sys.platform == "win32",
) -> Shim:
    """Write stand-ins for ``binary``.

    Args:
        directory: What an application gets to see on its PATH; empty.
        state: Where configuration and recordings go; empty.
        binary: The real server.
        names: What a stand-in is called besides ``llama-server``; the first is the one whose path
            an application is told.
        env: Variables that the real server needs, lists of directories joined with its own.
        overriding: Variables that the real server has in place of the application's.
        owner: The token of the reaper that ends it.
        models: Stand for the application's, by name; None starts no server, and answers
            ``/health`` in its place.
        windows: Whether to write the launcher for Windows.
    """
    recordings = state / "recordings"
    recordings.mkdir(parents=True)
    config = state / "shim.json"
    variables = {**(overriding or {}), **({OWNER_VARIABLE: owner} if owner else {})}
    settings = {
        "binary": str(binary),
        "env": dict(env or {}),
        "overriding": variables,
        "recordings": str(recordings),
        "replacements": None if models is None else _replacements(models, state / "models"),
    }
    config.write_text(json.dumps(settings), encoding="utf-8", newline="\n")
    programs = [
        _write_launcher(directory, name, config)
        if windows
        else _write_script(directory / name, binary, env or {}, owner, config)
        for name in dict.fromkeys((*names, SERVER))
    ]
    return Shim(
        program=programs[0],
        directory=directory,
        recordings=recordings,
        started_as=config.with_name(recorder.STARTED_AS),
    )


def _replacements(models: Mapping[str, TinyModel], directory: Path) -> Mapping[str, Any]:
    """What of a command line becomes the harness's own, for a program that imports no tables."""
    plain = models[PLAIN_MODEL]
    return {
        "directory": str(directory),
        "plain": str(plain.path),
        "mtp": str(models["tiny-mtp"].path),
        "draft": str(plain.draft_path),
        "flags": {flag: (kind, used) for family, kind, used in _RULES for flag in family.flags},
        "variables": {
            name: (kind, families.MODEL.variables[0] if used else "")
            for family, kind, used in _RULES
            for name in family.variables
        },
    }


def _write_script(
    program: Path, binary: Path, env: Mapping[str, str], owner: str, config: Path
) -> Path:
    program.write_text(
        _SCRIPT.format(
            mark=MARK.decode(),
            owner=f"export {OWNER_VARIABLE}={shlex.quote(owner)}" if owner else "",
            asks_only="|".join(sorted(recorder.ASKS_ONLY)),
            exports="".join(
                f"export {name}={_joined(name, value)}; " for name, value in env.items()
            ),
            binary=shlex.quote(str(binary)),
            python=shlex.quote(sys.executable),
            recorder=shlex.quote(recorder.__file__),
            config=shlex.quote(str(config)),
            put_back=recorder.PUT_BACK,
            not_found=recorder.NOT_FOUND,
        ),
        encoding="utf-8",
        newline="\n",
    )
    program.chmod(0o755)
    return program


def _joined(name: str, value: str) -> str:
    own = shlex.quote(value)
    return f'{own}"${{{name}:+:${name}}}"' if name in LISTS else own


def _write_launcher(directory: Path, name: str, config: Path) -> Path:
    """A console program that runs ``recorder.main`` with this interpreter.

    distlib's launcher reads, behind its own end, a line that names an interpreter and a zip file
    that the interpreter is to run.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        main = _LAUNCHED.format(mark=MARK.decode(), recorder=recorder.__name__, config=str(config))
        entries.writestr("__main__.py", main)
    stub = resources.files("distlib").joinpath(_LAUNCHERS[platform.machine().upper()])
    program = directory / f"{name.removesuffix('.exe')}.exe"
    interpreter = f'#!"{sys.executable}"\r\n'.encode()
    program.write_bytes(stub.read_bytes() + interpreter + archive.getvalue())
    return program
