"""Which devices a server itself says it can compute on, whatever the host looks like."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness.processes.running import ask_server

LIST_DEVICES: Final = "--list-devices"
_HEADING: Final = "Available devices:"
_DEVICE: Final = re.compile(
    r"^\s+(?P<device>(?P<name>\S+): (?P<description>.*?))"
    r"(?: \((?P<total>\d+) MiB, (?P<free>\d+) MiB free\))?\s*$"
)
_TIMEOUT_S: Final = 60.0
"""A first start of CUDA can take many seconds."""
_CUDA: Final = re.compile(r"CUDA\d+")


def is_cuda(name: str) -> bool:
    """Whether a device's name is one of CUDA's backend."""
    return _CUDA.fullmatch(name) is not None


@dataclass(frozen=True, kw_only=True)
class ListedDevice:
    """A device besides the CPU, as a server lists it.

    Attributes:
        name: What arguments name it by, e.g. ``CUDA0``.
        description: Whose it is.
        total_mib: Its memory; None where the server does not tell.
        free_mib: What of it is free.
    """

    name: str
    description: str
    total_mib: int | None = None
    free_mib: int | None = None

    def __str__(self) -> str:
        """``CUDA0: NAME``."""
        return f"{self.name}: {self.description}"


def list_devices(
    binary: Path, env: Mapping[str, str], *, timeout_s: float = _TIMEOUT_S
) -> tuple[ListedDevice, ...] | None:
    """Return the devices besides the CPU; None where the server does not tell.

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


def _read(output: str) -> tuple[ListedDevice, ...] | None:
    _, heading, listed = output.partition(_HEADING)
    if not heading:
        return None
    found = (_DEVICE.match(line) for line in listed.splitlines())
    return tuple(_listed(line) for line in found if line)


def _listed(line: re.Match[str]) -> ListedDevice:
    total, free = line["total"], line["free"]
    return ListedDevice(
        name=line["name"],
        description=line["description"],
        total_mib=None if total is None else int(total),
        free_mib=None if free is None else int(free),
    )
