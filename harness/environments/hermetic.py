"""The variables that every environment starts from: an allow-list, and a home of its own."""

import os
from collections.abc import Mapping
from pathlib import Path

_PASSED = frozenset(
    {
        # Where programs and their interpreters are.
        "PATH",
        "PATHEXT",
        "COMSPEC",
        "PYENV_ROOT",
        # Without these Windows programs cannot load their system libraries.
        "SYSTEMROOT",
        "SYSTEMDRIVE",
        "WINDIR",
        "PROGRAMFILES",
        "PROGRAMFILES(X86)",
        "PROGRAMDATA",
        "NUMBER_OF_PROCESSORS",
        "PROCESSOR_ARCHITECTURE",
        # How text is encoded.
        "LANG",
        "LANGUAGE",
        "LC_ALL",
        "LC_CTYPE",
        "TZ",
    }
)
"""Nothing else reaches a cell: no user configuration, proxy, ``LLAMA_ARG_*`` or GPU selection."""


def hermetic_variables(home: Path, user: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the allowed variables of the user, with home, cache and scratch under ``home``.

    The directories are made. Upper case is how Windows spells every variable.

    Args:
        home: A directory of the cell's own; made if it is missing.
        user: The user's variables; those of this process if not given.
    """
    user = os.environ if user is None else user
    kept = {name: value for name, value in user.items() if name.upper() in _PASSED}
    kept.setdefault("PATH", os.defpath)
    return kept | home_variables(home)


def home_variables(home: Path) -> dict[str, str]:
    """Return the variables that put home, configuration, cache and scratch under ``home``.

    The directories are made.
    """
    home = home.absolute()
    own = {
        "HOME": home,
        "USERPROFILE": home,
        "APPDATA": home / "AppData" / "Roaming",
        "LOCALAPPDATA": home / "AppData" / "Local",
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "TMPDIR": home / "tmp",
        "TMP": home / "tmp",
        "TEMP": home / "tmp",
    }
    for directory in own.values():
        directory.mkdir(parents=True, exist_ok=True)
    return {name: str(path) for name, path in own.items()}
