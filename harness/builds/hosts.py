"""What a build is qualified for: a fingerprint of the host.

A build that runs on one host may not run on another: other instructions, another libc, a container.
Caches are restored in CI, homes are shared, virtual machines migrate; the fingerprint notices.
"""

import os
import platform
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

_FEATURES: Final = re.compile(
    r"sse3|pni|ssse3|sse4_[12]|avx\w*|fma|f16c|bmi[12]|amx\w*|gfni|popcnt"  # x86-64
    r"|asimd\w*|sve\w*|sme(?!p)\w*|i8mm|bf16|fphp|fp|atomics|crc32|aes|sha\d+|dotprod"  # arm64
)
"""Processor features that compilers and ggml choose instructions by, as Linux names them."""

_CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
_WINDOWS_FEATURES: Final = {"sse4_2": 38, "avx": 39, "avx2": 40, "avx512f": 41}
"""Arguments of IsProcessorFeaturePresent."""


class HostFingerprint(msgspec.Struct, frozen=True, kw_only=True):
    """What a build's qualification holds for.

    Attributes:
        machine: Architecture, as the system names it.
        features: Processor features that matter, sorted.
        libc: The C library with its version; empty where it does not tell.
        kernel: System and release.
        container: Whether this process runs in a container.
    """

    machine: str
    features: tuple[str, ...]
    libc: str
    kernel: str
    container: bool

    def __str__(self) -> str:
        where = " in a container" if self.container else ""
        libc = f", {self.libc}" if self.libc else ""
        return f"{self.machine}, {self.kernel}{libc}{where}"


def host_fingerprint() -> HostFingerprint:
    """The fingerprint of the host that this process runs on; takes about a millisecond."""
    return HostFingerprint(
        machine=platform.machine(),
        features=tuple(sorted(_features())),
        libc=_libc(),
        kernel=f"{platform.system()} {platform.release()}",
        container=_in_container(),
    )


def _features() -> set[str]:
    if sys.platform == "win32":
        import ctypes

        present = ctypes.windll.kernel32.IsProcessorFeaturePresent
        return {name for name, number in _WINDOWS_FEATURES.items() if present(number)}
    if sys.platform == "darwin":
        return {_sysctl("machdep.cpu.brand_string")}
    return cpu_features(_text("/proc/cpuinfo"))


def cpu_features(cpuinfo: str) -> set[str]:
    """The features that matter of a Linux ``/proc/cpuinfo``."""
    line = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE)
    words = line[1].split() if line else []
    return {word for word in words if _FEATURES.fullmatch(word)}


def _sysctl(name: str) -> str:
    """A string of macOS' kernel, empty where it does not tell."""
    import ctypes
    import ctypes.util

    library = ctypes.CDLL(ctypes.util.find_library("c"))
    value, size = ctypes.create_string_buffer(256), ctypes.c_size_t(256)
    failed = library.sysctlbyname(name.encode(), value, ctypes.byref(size), None, 0)
    return "" if failed else value.value.decode(errors="replace")


def _libc() -> str:
    if sys.platform != "win32":
        with suppress(AttributeError, ValueError, OSError):
            return os.confstr("CS_GNU_LIBC_VERSION") or ""
    return " ".join(filter(None, platform.libc_ver()))


def _in_container() -> bool:
    if any(map(os.path.exists, _CONTAINER_MARKS)) or "container" in os.environ:
        return True
    return bool(re.search(r"docker|containerd|kubepods|libpod|lxc", _text("/proc/1/cgroup")))


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
