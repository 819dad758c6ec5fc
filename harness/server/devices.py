"""Which devices a server itself says it can compute on, whatever the host looks like."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.processes.running import ask_server

LIST_DEVICES: Final = "--list-devices"
_HEADING: Final = "Available devices:"
_DEVICE: Final = re.compile(r"^\s+(?P<device>\S+: .*?)(?: \(\d+ MiB, \d+ MiB free\))?\s*$")
_TIMEOUT_S: Final = 60.0
"""A first start of CUDA can take many seconds."""


def list_devices(
    binary: Path, env: Mapping[str, str], *, timeout_s: float = _TIMEOUT_S
) -> tuple[str, ...] | None:
    """Return the devices besides the CPU, as ``CUDA0: NAME``; None where the server does not tell.

    Args:
        binary: A server that offers ``--list-devices``.
        env: The whole environment it runs in.
        timeout_s: Seconds after which it is killed.
    """
    try:
        done = ask_server(binary, LIST_DEVICES, env=env, timeout_s=timeout_s)
    except OSError:
        return None
    return _read(done.stdout) if done.returncode == 0 else None


def _read(output: str) -> tuple[str, ...] | None:
    _, heading, listed = output.partition(_HEADING)
    if not heading:
        return None
    found = (_DEVICE.match(line) for line in listed.splitlines())
    return tuple(line["device"] for line in found if line)
