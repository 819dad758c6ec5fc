"""Environment names: ``cpu``, ``cuda``, ``cuda-spoof`` and ``cuda-spoof:PART[+PART]``."""

from dataclasses import dataclass
from typing import Literal

from harness.environments.machine import DEFAULT_PROFILE, PROFILE_SUFFIX, shipped_profiles
from harness.environments.variants import Variant
from harness.errors import UsageError

Kind = Literal["cpu", "cuda", "cuda-spoof"]

_PART = ":"
_JOIN = "+"


@dataclass(frozen=True, kw_only=True)
class EnvironmentSpec:
    """What an environment's name asks for.

    Attributes:
        kind: The environment without its variant.
        profile: Name or file of the profile that a spoof is made from.
        variants: How the spoofed machine differs from its profile.
    """

    kind: Kind
    profile: str = DEFAULT_PROFILE
    variants: frozenset[Variant] = frozenset()


def parse_environment(name: str) -> EnvironmentSpec:
    """Read an environment's name; what follows the colon are variants and profiles, in any order.

    A profile is the name of a shipped one or a ``.toml`` file.

    Raises:
        UsageError: There is no such environment; the message lists those there are.
    """
    kind, colon, parts = name.partition(_PART)
    if kind == "cpu" and not colon:
        return EnvironmentSpec(kind="cpu")
    if kind == "cuda" and not colon:
        return EnvironmentSpec(kind="cuda")
    if kind != "cuda-spoof" or (colon and not parts):
        raise _unknown(name)
    return _spoof(name, parts.split(_JOIN) if colon else [])


def _spoof(name: str, parts: list[str]) -> EnvironmentSpec:
    profile = DEFAULT_PROFILE
    variants: set[Variant] = set()
    for part in parts:
        if part in set(Variant):
            variants.add(Variant(part))
        elif part in shipped_profiles() or part.endswith(PROFILE_SUFFIX):
            profile = part
        else:
            raise _unknown(name)
    return EnvironmentSpec(kind="cuda-spoof", profile=profile, variants=frozenset(variants))


def _unknown(name: str) -> UsageError:
    parts = ", ".join([*Variant, *shipped_profiles()])
    return UsageError(
        f"no environment is named {name!r}; there are cpu, cuda, cuda-spoof and "
        f"cuda-spoof:PART[+PART] with PART one of {parts}, or a profile's .toml file"
    )
