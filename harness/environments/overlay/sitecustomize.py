"""Runs when Python starts inside a CUDA spoof: lets ``torch`` and ``pynvml`` see its machine.

It stands alone: the Python it runs in need not have the harness, nor be of the same version.
Nothing is imported that the program would not import, and only what is installed is touched:
each module for which a ``spoofed_NAME.py`` stands beside this file.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Sequence
from types import ModuleType

_HERE = os.path.dirname(os.path.abspath(__file__))


_PATCHED = [
    name
    for name in ("torch", "pynvml")
    if os.path.exists(os.path.join(_HERE, f"spoofed_{name}.py"))
]


class _PatchedLoader(importlib.abc.Loader):
    def __init__(self, real: importlib.abc.Loader) -> None:
        self._real = real

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return self._real.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._real.exec_module(module)
        importlib.import_module(f"spoofed_{module.__name__}").patch(module)

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self) -> None:
        self._busy = False

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the protocol's
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> importlib.machinery.ModuleSpec | None:
        if self._busy or "." in fullname or fullname not in _PATCHED:
            return None
        self._busy = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._busy = False
        if spec is not None and spec.loader is not None:
            spec.loader = _PatchedLoader(spec.loader)
        return spec


def _run_hidden_sitecustomize() -> None:
    # The host's own sitecustomize, if any, stands behind this one on the path.
    behind = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", behind)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if sys.platform == "win32":
    # Python looks for libraries on PATH no more; other programs do.
    os.add_dll_directory(os.path.join(os.path.dirname(_HERE), "bin"))
sys.meta_path.insert(0, _Finder())
_run_hidden_sitecustomize()
