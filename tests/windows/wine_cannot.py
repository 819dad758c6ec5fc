"""A pytest plugin: tests that Wine itself cannot pass, each with the reason, strictly.

A listed test must fail: one that passes is an error, and so is an entry that names no test of a
whole run. It does nothing on a real Windows.
"""

import ctypes
import sys
import tomllib
from pathlib import Path
from typing import Final

import pytest

LIST: Final = Path(__file__).with_name("wine_cannot.toml")


def is_wine() -> bool:
    """Whether this Windows is Wine."""
    if sys.platform != "win32":
        return False
    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def listed() -> dict[str, str]:
    """The reason for each listed test, by the beginning of its name."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8")).get("cannot", [])
    return {test: entry["reason"] for entry in entries for test in entry["tests"]}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is listed as failing, strictly."""
    if not is_wine():
        return
    reasons = listed()
    unused = set(reasons)
    for item in items:
        for name in (item.nodeid, item.nodeid.partition("[")[0]):
            if name in reasons:
                item.add_marker(pytest.mark.xfail(reason=f"Wine: {reasons[name]}", strict=True))
                unused.discard(name)
                break
    chosen = {Path(name).as_posix() for name in config.args}
    gone = sorted(name for name in unused if any(_holds(arg, name) for arg in chosen))
    if gone:
        raise pytest.UsageError(f"{LIST.name} lists tests that are not there: {', '.join(gone)}")


def _holds(argument: str, name: str) -> bool:
    """Whether a path that was given to pytest holds a whole file or folder with a test."""
    return name.startswith(f"{argument}/") or name.partition("::")[0] == argument
