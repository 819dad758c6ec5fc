"""Names the shared libraries that a program needs and an environment does not have."""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.config.paths import exists, is_file
from harness.environments.cuda_packages import advice, directories_with
from harness.errors import EnvironmentUnavailableError
from harness.processes.running import ask

_PATH = "LD_LIBRARY_PATH"
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


def with_libraries(
    name: str, program: Path, environment: str, variables: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the variables with CUDA's packages on the library path, if the program needs them.

    Args:
        name: What the user knows the program as.
        program: The program.
        environment: The name of the environment that the variables are of.
        variables: All of them.

    Raises:
        EnvironmentUnavailableError: Libraries of the program itself remain missing. Those of a
            backend beside it do not count: the server runs without that backend.
    """
    missing = missing_libraries(program, variables)
    if not missing:
        return variables
    directories = directories_with({each for names in missing.values() for each in names})
    found = dict(variables)
    if directories:
        before = filter(None, [variables.get(_PATH)])
        found[_PATH] = os.pathsep.join([*before, *directories])
        missing = missing_libraries(program, found)
    if own := missing.get(program.name):
        hint = advice(own)
        raise EnvironmentUnavailableError(
            f"{name} is linked against {', '.join(own)}, which environment {environment} does not "
            f"have{f': {hint}' if hint else ''}"
        )
    return found


def _loaded_files(program: Path) -> Iterator[Path]:
    yield program
    for library in sorted(program.parent.glob("*.so*")):
        if is_file(library) and not library.is_symlink():
            yield library


def _not_found(file: Path, env: Mapping[str, str]) -> tuple[str, ...]:
    try:
        with file.open("rb") as content:
            if content.read(len(_ELF)) != _ELF:
                return ()
    except OSError:
        return ()
    loader = next((path for path in _loaders() if exists(path)), None)
    if loader is None:
        return ()
    try:
        # The loader itself lists what a file needs, as ldd has it do, and runs nothing.
        listed = ask(
            [loader, file],
            env={**env, "LD_TRACE_LOADED_OBJECTS": "1"},
            timeout_s=_TIMEOUT_S,
            merged=True,
        )
    except OSError:
        return ()
    return tuple(_NOT_FOUND.findall(listed.stdout))


def _loaders() -> Iterator[Path]:
    for folder in ("/lib64", "/lib", "/usr/lib64", "/usr/lib"):
        yield from sorted(Path(folder).glob("ld-linux*.so*"))
