"""Opens an environment: the complete variables of a cell, and what they stand on."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.config.paths import exists
from harness.environments.detection import detect_host
from harness.environments.hermetic import hermetic_variables
from harness.environments.hiding import path_without_smi
from harness.environments.machine import SpoofedMachine, load_profile
from harness.environments.names import EnvironmentSpec, parse_environment
from harness.environments.native_libraries import native_libraries
from harness.environments.spoof import Spoof, spoof_directory
from harness.environments.variants import FAILURES, Variant
from harness.errors import EnvironmentUnavailableError

_SPOOF = ".cuda-spoof"
_HIDING = ".path"
_DRIVER = Path("/proc/driver/nvidia/version")
_DRIVER_VARIABLES = ("LD_LIBRARY_PATH", "CUDA_PATH", "CUDA_HOME")
"""Where a host may keep its driver's libraries; passed on in ``cuda`` alone."""


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An open environment.

    Attributes:
        name: As it was asked for.
        variables: The complete variables of a program inside.
        spoof: What a spoofed environment stands on, None for the others.
        shows_card: Whether ``nvidia-smi`` must list a card here.
    """

    name: str
    variables: Mapping[str, str]
    spoof: Spoof | None = None
    shows_card: bool = False

    @property
    def absent(self) -> Mapping[str, str]:
        """Layers of a spoof that this host cannot have, each with the reason."""
        return self.spoof.absent if self.spoof else {}


@contextlib.contextmanager
def open_environment(
    name: str,
    *,
    home: Path,
    machine: SpoofedMachine | None = None,
    cache: Path | None = None,
) -> Iterator[Mapping[str, str]]:
    """Give the complete variables of an environment; see :func:`environment`."""
    with environment(name, home=home, machine=machine, cache=cache) as opened:
        yield opened.variables


@contextlib.contextmanager
def environment(
    name: str,
    *,
    home: Path,
    machine: SpoofedMachine | None = None,
    cache: Path | None = None,
) -> Iterator[Environment]:
    """Give an environment; nothing of the user's but an allow-list reaches a program inside.

    Everything it needs is made under ``home`` and is gone at the end, but for the directories of
    the home itself, which belong to whoever owns ``home``. The compiled libraries of a spoof stay
    in ``cache``. Opening takes a few milliseconds, and two seconds more for the very first spoof.

    Args:
        name: ``cpu``, ``cuda``, ``cuda-spoof`` or ``cuda-spoof:PART[+PART]``.
        home: The cell's own directory; made if it is missing.
        machine: For a spoof: the machine to pretend, instead of the profile that the name gives.
        cache: Where compiled libraries are kept; the store's root if not given.

    Raises:
        UsageError: No environment has that name.
        EnvironmentUnavailableError: This host cannot provide it.
    """
    spec = parse_environment(name)
    home = home.absolute()
    variables = hermetic_variables(home)
    if spec.kind == "cuda":
        yield Environment(name=name, variables=_cuda(variables))
        return
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(path_without_smi(variables["PATH"], home / _HIDING))
        variables["PATH"] = path
        spoof = None
        if spec.kind == "cuda-spoof":
            pretended = machine or load_profile(spec.profile)
            spoof = stack.enter_context(_spoof(home, pretended, spec, cache))
            variables["PATH"] = os.pathsep.join([str(spoof.programs), path])
            variables.update(spoof.variables())
        elif exists(_DRIVER):
            variables.update(stack.enter_context(_hidden_driver(home, cache)))
        shows_card = spoof is not None and spec.variants.isdisjoint(FAILURES)
        yield Environment(name=name, variables=variables, spoof=spoof, shows_card=shows_card)


@contextlib.contextmanager
def _spoof(
    home: Path, machine: SpoofedMachine, spec: EnvironmentSpec, cache: Path | None
) -> Iterator[Spoof]:
    native = native_libraries(cache)
    with spoof_directory(home / _SPOOF, machine, spec.variants, native=native) as spoof:
        yield spoof


@contextlib.contextmanager
def _hidden_driver(home: Path, cache: Path | None) -> Iterator[Mapping[str, str]]:
    # On a host with a driver, cpu puts libraries that find none before the real ones.
    spec = EnvironmentSpec(
        kind="cuda-spoof", variants=frozenset({Variant.NO_DRIVER, Variant.NO_SMI})
    )
    with _spoof(home, load_profile(), spec, cache) as spoof:
        if spoof.absent:
            reason = next(iter(spoof.absent.values()))
            raise EnvironmentUnavailableError(
                f"this host has an NVIDIA driver, and environment cpu cannot hide it: {reason}"
            )
        yield spoof.variables()


def _cuda(variables: dict[str, str]) -> Mapping[str, str]:
    for name in _DRIVER_VARIABLES:
        if value := os.environ.get(name):
            variables[name] = value
    host = detect_host(variables)
    if not host.has_gpu:
        raise EnvironmentUnavailableError(
            f"environment cuda needs an NVIDIA GPU with its driver, and {host.note}; "
            "use cuda-spoof on hosts without one"
        )
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        ctypes.CDLL(library)
    except OSError as error:
        raise EnvironmentUnavailableError(
            f"environment cuda needs the CUDA driver library, and {library} cannot be loaded: "
            f"{error}; install the driver's compute libraries"
        ) from error
    return variables
