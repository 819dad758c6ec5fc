"""Names the shared libraries that a program needs and an environment does not have."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

_TIMEOUT_S = 10
_NOT_FOUND = re.compile(r"^\s*(\S+) => not found", re.MULTILINE)
_ELF = b"\x7fELF"


def missing_libraries(program: Path, env: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return what the loader does not find, by the file that needs it; empty if it finds all.

    The libraries beside the program count as well: llama.cpp loads its backends from there
    while it runs, and a backend that cannot be loaded is skipped without an error. Linux only;
    elsewhere the answer is empty.

    Args:
        program: The program.
        env: The whole environment it is started in.
    """
    if not sys.platform.startswith("linux"):
        return {}
    missing = {file.name: _not_found(file, env) for file in _loaded_files(program)}
    return {name: libraries for name, libraries in missing.items() if libraries}


def _loaded_files(program: Path) -> Iterator[Path]:
    yield program
    for library in sorted(program.parent.glob("*.so*")):
        if library.is_file() and not library.is_symlink():
            yield library


def _not_found(file: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    with file.open("rb") as content:
        if content.read(len(_ELF)) != _ELF:
            return ()
    loader = next((path for path in _loaders() if path.exists()), None)
    if loader is None:
        return ()
    try:
        # The loader itself lists what a file needs, as ldd has it do, and runs nothing.
        listed = subprocess.run(
            [loader, file],
            env={**env, "LD_TRACE_LOADED_OBJECTS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(_NOT_FOUND.findall(listed))


def _loaders() -> Iterator[Path]:
    for folder in ("/lib64", "/lib", "/usr/lib64", "/usr/lib"):
        yield from sorted(Path(folder).glob("ld-linux*.so*"))
