"""Sets of environment variables, put together without one hiding what another adds."""

import os
from collections.abc import Mapping
from typing import Final

LISTS: Final = frozenset(
    {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"}
)


def joined(base: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """Return ``base`` with ``added``, whose value wins, but for lists of directories.

    Those are joined, the added directories first: a build brings its own libraries, and a
    spoofed driver must still be found behind them.
    """
    variables = dict(base)
    for name, value in added.items():
        before = variables.get(name)
        variables[name] = f"{value}{os.pathsep}{before}" if name in LISTS and before else value
    return variables
