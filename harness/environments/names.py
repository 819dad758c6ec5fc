"""Environment names: ``cpu``, ``cuda``, ``cuda-spoof`` and ``cuda-spoof:PART[+PART]``."""

from dataclasses import dataclass
from typing import Literal

from harness.environments.faults import Fault
from harness.environments.machine import DEFAULT_PROFILE, shipped_profiles
from harness.errors import UsageError

Kind = Literal["cpu", "cuda", "cuda-spoof"]

_PART = ":"
_JOIN = "+"


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What an environment's name asks for.

    Attributes:
        kind: The environment without its variant.
        profile: Name of the profile that a spoof is made from.
        faults: What is wrong with the spoofed machine.
    """

    kind: Kind
    profile: str = DEFAULT_PROFILE
    faults: frozenset[Fault] = frozenset()


def parse_environment(name: str) -> EnvironmentSpec:
    """Read an environment's name; the parts of a variant are faults and profiles in any order.

    Raises:
        UsageError: There is no such environment; the message lists those there are.
    """
    kind, colon, variant = name.partition(_PART)
    if kind == "cpu" and not colon:
        return EnvironmentSpec(kind="cpu")
    if kind == "cuda" and not colon:
        return EnvironmentSpec(kind="cuda")
    if kind != "cuda-spoof" or (colon and not variant):
        raise _unknown(name)
    return _variant(name, variant.split(_JOIN) if colon else [])


def _variant(name: str, parts: list[str]) -> EnvironmentSpec:
    profile = DEFAULT_PROFILE
    faults: set[Fault] = set()
    for part in parts:
        if part in set(Fault):
            faults.add(Fault(part))
        elif part in shipped_profiles():
            profile = part
        else:
            raise _unknown(name)
    return EnvironmentSpec(kind="cuda-spoof", profile=profile, faults=frozenset(faults))


def _unknown(name: str) -> UsageError:
    parts = ", ".join([*Fault, *shipped_profiles()])
    return UsageError(
        f"no environment is named {name!r}; there are cpu, cuda, cuda-spoof and "
        f"cuda-spoof:PART[+PART] with PART one of {parts}"
    )
