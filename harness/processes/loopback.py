"""Servers under test listen on loopback only, whatever a command line says.

Without a key, a server on every address of a machine is open to whoever reaches that machine.
"""

import ipaddress
from collections.abc import Mapping, Sequence

LOOPBACK = "127.0.0.1"
HOST_FLAG = "--host"
HOST_VARIABLE = "LLAMA_ARG_HOST"
WHY = "servers under test listen on loopback only"

_PRESET_FLAGS = frozenset({"--models-preset", "--models-dir"})
_PRESET_VARIABLES = frozenset({"LLAMA_ARG_MODELS_PRESET", "LLAMA_ARG_MODELS_DIR"})
"""A file behind these may set an address, which an address in argv wins over."""


def on_loopback(
    argv: Sequence[str], env: Mapping[str, str]
) -> tuple[tuple[str, ...], dict[str, str], tuple[tuple[str, str], ...]]:
    """Return arguments and variables under which a server listens on loopback.

    Addresses of loopback and paths of Unix sockets stay as they are.

    Returns:
        The arguments, the variables, and each replacement as what was written and what stands
        there now.
    """
    words = list(argv)
    variables = dict(env)
    replaced = []
    for place in range(1, len(words)):
        if words[place - 1] == HOST_FLAG and not is_loopback(words[place]):
            replaced.append((f"{HOST_FLAG} {words[place]}", f"{HOST_FLAG} {LOOPBACK}"))
            words[place] = LOOPBACK
    address = variables.get(HOST_VARIABLE)
    if address is not None and not is_loopback(address):
        replaced.append((f"{HOST_VARIABLE}={address}", f"{HOST_VARIABLE}={LOOPBACK}"))
        variables[HOST_VARIABLE] = LOOPBACK
    has_preset = not _PRESET_FLAGS.isdisjoint(words) or not _PRESET_VARIABLES.isdisjoint(variables)
    if has_preset and HOST_FLAG not in words:
        words += [HOST_FLAG, LOOPBACK]
    return tuple(words), variables, tuple(replaced)


def is_loopback(address: str) -> bool:
    """Whether every address of a list, as ``--host`` takes it, is of this machine alone."""
    return all(_is_loopback(each.strip()) for each in address.split(","))


def _is_loopback(address: str) -> bool:
    if address == "localhost" or address.endswith(".sock"):
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
