"""What a build needs to know of the machine: operating system, processor, file names, variables."""

import platform
import sys
from dataclasses import dataclass
from typing import Literal

System = Literal["linux", "macos", "windows"]


@dataclass(frozen=True, kw_only=True)
class Platform:
    """An operating system and a processor.

    Attributes:
        system: ``linux``, ``macos`` or ``windows``.
        machine: ``x64`` or ``arm64`` as upstream's release assets write it; else Python's word.
    """

    system: System
    machine: str

    def __str__(self) -> str:
        return f"{self.system}-{self.machine}"

    @property
    def server_name(self) -> str:
        """File name of the server program."""
        return "llama-server.exe" if self.system == "windows" else "llama-server"

    @property
    def library_path_variable(self) -> str:
        """Variable that tells the dynamic loader where to look."""
        names = {
            "linux": "LD_LIBRARY_PATH",
            "macos": "DYLD_LIBRARY_PATH",
            "windows": "PATH",
        }
        return names[self.system]


def this_platform() -> Platform:
    """Return the platform that this process runs on."""
    systems: dict[str, System] = {"win32": "windows", "darwin": "macos"}
    system = systems.get(sys.platform, "linux")
    machine = platform.machine().lower()
    known = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    return Platform(system=system, machine=known.get(machine, machine))
