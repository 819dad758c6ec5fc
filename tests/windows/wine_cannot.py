"""A pytest plugin: tests that Wine itself cannot pass, each with the reason, strictly.

A listed test must fail: one that passes is an error, and so is an entry that names no test of a
whole run. In another version of Wine than the list is of, a listed test may pass. On a real
Windows nothing is done.
"""

import ctypes
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

LIST: Final = Path(__file__).with_name("wine_cannot.toml")


def wine_version() -> str:
    """The version of Wine, such as ``8.0``; empty on a real Windows, and elsewhere."""
    if sys.platform != "win32":
        return ""
    said = getattr(ctypes.CDLL("ntdll"), "wine_get_version", None)
    if said is None:
        return ""
    said.restype = ctypes.c_char_p
    return bytes(said()).decode("ascii")


@dataclass(frozen=True, kw_only=True)
class Listed:
    """The list.

    Attributes:
        wine: The version of Wine that it is of.
        reasons: The reason for each test, by its name with or without its parameters.
    """

    wine: str
    reasons: Mapping[str, str]


def listed() -> Listed:
    """Read the list."""
    read = tomllib.loads(LIST.read_text(encoding="utf-8"))
    entries = read.get("cannot", [])
    reasons = {test: entry["reason"] for entry in entries for test in entry["tests"]}
    return Listed(wine=read["wine"], reasons=reasons)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is listed as failing, strictly."""
    version, known = wine_version(), listed()
    if not version:
        return
    reasons, strict = known.reasons, version.startswith(known.wine)
    unused = set(reasons)
    for item in items:
        for name in (item.nodeid, item.nodeid.partition("[")[0]):
            if name in reasons:
                item.add_marker(pytest.mark.xfail(reason=f"Wine: {reasons[name]}", strict=strict))
                unused.discard(name)
                break
    chosen = {Path(name).as_posix() for name in config.args}
    gone = sorted(name for name in unused if any(_holds(arg, name) for arg in chosen))
    if gone:
        raise pytest.UsageError(f"{LIST.name} lists tests that are not there: {', '.join(gone)}")


def _holds(argument: str, name: str) -> bool:
    """Whether a path that was given to pytest holds a whole file or folder with a test."""
    return name.startswith(f"{argument}/") or name.partition("::")[0] == argument
