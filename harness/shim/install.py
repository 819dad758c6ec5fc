"""Writing the stand-in: a script where systems start scripts, a launcher program on Windows."""

import io
import json
import platform
import shlex
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from harness.shim import recorder

_SCRIPT: Final = """\
#!/bin/sh
if [ $# -eq 1 ]; then
    case "$1" in
        {asks_only})
            {exports}exec {binary} "$1" ;;
    esac
fi
exec {python} -I -S {recorder} {config} "$@"
"""
_LAUNCHED: Final = "import sys\nfrom {recorder} import main\nsys.exit(main())\n"
_LAUNCHERS: Final = {
    "AMD64": "t64.exe",
    "X86_64": "t64.exe",
    "ARM64": "t64-arm.exe",
    "AARCH64": "t64-arm.exe",
    "X86": "t32.exe",
}


@dataclass(frozen=True, kw_only=True)
class Shim:
    """A stand-in on disk.

    Attributes:
        program: The executable named ``llama-server``.
        recordings: The directory where every start leaves a file.
    """

    program: Path
    recordings: Path


def install_shim(
    directory: Path,
    binary: Path,
    *,
    env: Mapping[str, str] | None = None,
    health_only: bool = False,
    windows: bool = sys.platform == "win32",
) -> Shim:
    """Write a stand-in for ``binary`` into an empty directory.

    Args:
        directory: What an application gets to see on its PATH.
        binary: The real server.
        env: Variables that the real server needs.
        health_only: Whether a start is only recorded, and ``/health`` answered in its place.
        windows: Whether to write the launcher for Windows.
    """
    recordings = directory / "recordings"
    recordings.mkdir(parents=True)
    config = directory / recorder.CONFIG_NAME
    config.write_text(
        json.dumps(
            {
                "binary": str(binary),
                "env": dict(env or {}),
                "recordings": str(recordings),
                "health_only": health_only,
            }
        ),
        encoding="utf-8",
    )
    program = (
        _write_launcher(directory)
        if windows
        else _write_script(directory, binary, env or {}, config)
    )
    return Shim(program=program, recordings=recordings)


def _write_script(directory: Path, binary: Path, env: Mapping[str, str], config: Path) -> Path:
    program = directory / "llama-server"
    program.write_text(
        _SCRIPT.format(
            asks_only="|".join(sorted(recorder.ASKS_ONLY)),
            exports="".join(f"export {name}={shlex.quote(value)}; " for name, value in env.items()),
            binary=shlex.quote(str(binary)),
            python=shlex.quote(sys.executable),
            recorder=shlex.quote(recorder.__file__),
            config=shlex.quote(str(config)),
        ),
        encoding="utf-8",
    )
    program.chmod(0o755)
    return program


def _write_launcher(directory: Path) -> Path:
    """A console program that runs ``recorder.main`` with this interpreter.

    distlib's launcher reads, behind its own end, a line that names an interpreter and a zip file
    that the interpreter is to run.
    """
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as entries:
        entries.writestr("__main__.py", _LAUNCHED.format(recorder=recorder.__name__))
    stub = resources.files("distlib").joinpath(_LAUNCHERS[platform.machine().upper()])
    program = directory / "llama-server.exe"
    interpreter = f'#!"{sys.executable}"\r\n'.encode()
    program.write_bytes(stub.read_bytes() + interpreter + archive.getvalue())
    return program
