"""Opens an environment: the complete variables of a cell, and what they stand on."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.environments.hermetic import hermetic_variables
from harness.environments.hiding import path_without_smi
from harness.environments.machine import SpoofedMachine, load_profile
from harness.environments.names import parse_environment
from harness.environments.spoof import spoof_directory

_SPOOF = ".cuda-spoof"
_HIDING = ".path"


@contextlib.contextmanager
def open_environment(
    name: str, *, home: Path, machine: SpoofedMachine | None = None
) -> Iterator[Mapping[str, str]]:
    """Give the complete variables of an environment; nothing else of the user's reaches a cell.

    Everything the environment needs is made under ``home`` and is gone at the end, but for the
    empty directories of the home itself, which belong to whoever owns ``home``.

    Args:
        name: ``cpu``, ``cuda``, ``cuda-spoof`` or ``cuda-spoof:PART[+PART]``.
        home: The cell's own directory; made if it is missing.
        machine: For a spoof: the machine to pretend, instead of the profile that the name gives.

    Raises:
        UsageError: No environment has that name.
        EnvironmentUnavailableError: This host cannot provide it.
    """
    spec = parse_environment(name)
    env = hermetic_variables(home)
    home = home.absolute()
    with contextlib.ExitStack() as stack:
        if spec.kind == "cpu":
            env["PATH"] = stack.enter_context(path_without_smi(env["PATH"], home / _HIDING))
        elif spec.kind == "cuda-spoof":
            pretended = machine or load_profile(spec.profile)
            path = stack.enter_context(path_without_smi(env["PATH"], home / _HIDING))
            spoof = stack.enter_context(spoof_directory(home / _SPOOF, pretended, spec.faults))
            env["PATH"] = os.pathsep.join([str(spoof.programs), path])
        yield env
