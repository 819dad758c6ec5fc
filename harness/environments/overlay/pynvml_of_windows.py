"""Gives ``pynvml`` our NVML on Windows, where it looks in two fixed places for NVIDIA's.

Both belong to the system; our library lies on PATH, where other programs find it.
"""

import ctypes
import os
from types import ModuleType

_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "bin", "nvml.dll")


def patch(pynvml: ModuleType) -> None:
    """Have it loaded already."""
    pynvml.nvmlLib = ctypes.CDLL(os.path.abspath(_LIBRARY))  # type: ignore[attr-defined]
