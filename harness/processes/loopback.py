"""Servers under test listen on loopback only, whatever a command line says.

Without a key, a server on every address of a machine is open to whoever reaches that machine. And
the harness asks where it knows the server to be: on 127.0.0.1.
"""

import re
from collections.abc import Mapping, Sequence

LOOPBACK = "127.0.0.1"
LOOPBACK_LIST = "127.0.0.1,::1"
"""In place of a list of addresses, which a build that takes none still refuses."""

_NO_ADDRESS = re.compile(r"[/\[\]\s]|^[^:]+:\d*$")
"""What no system binds to, on whatever host: a URL, brackets, an address with a port."""

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

    Returns:
        The arguments, the variables, and each replacement as what was written and what stands
        there now.
    """
    words = list(argv)
    variables = dict(env)
    replaced = []
    for place in range(1, len(words)):
        address = words[place]
        # What looks like a flag may be one, after a word of that name which was another's value.
        if words[place - 1] == HOST_FLAG and not address.startswith("-"):
            words[place] = own_address(address)
            if words[place] != address:
                replaced.append((f"{HOST_FLAG} {address}", f"{HOST_FLAG} {words[place]}"))
    if HOST_VARIABLE in variables:
        address = variables[HOST_VARIABLE]  # An empty one is every address of the machine.
        variables[HOST_VARIABLE] = own_address(address)
        if variables[HOST_VARIABLE] != address:
            used = f"{HOST_VARIABLE}={variables[HOST_VARIABLE]}"
            replaced.append((f"{HOST_VARIABLE}={address}", used))
    flags = {word.replace("_", "-") for word in words}
    has_preset = not _PRESET_FLAGS.isdisjoint(flags) or not _PRESET_VARIABLES.isdisjoint(variables)
    if has_preset and HOST_FLAG not in words:
        # In front, for a last flag without its value would take them.
        words = [HOST_FLAG, LOOPBACK, *words]
    return tuple(words), variables, tuple(replaced)


def is_address(text: str) -> bool:
    """Whether some host may listen on it: a name, an address, several of them, or a socket."""
    return "," in text or text.endswith(".sock") or not _NO_ADDRESS.search(text)


def own_address(address: str) -> str:
    """What a server listens on in place of an address."""
    if not is_address(address):
        return address  # The build says that it cannot listen there.
    return LOOPBACK_LIST if "," in address else LOOPBACK
