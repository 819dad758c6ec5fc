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

_DIRECTORIES = {
    f"AppData{os.sep}Roaming": ("APPDATA",),
    f"AppData{os.sep}Local": ("LOCALAPPDATA",),
    ".cache": ("XDG_CACHE_HOME",),
    ".config": ("XDG_CONFIG_HOME",),
    f".local{os.sep}share": ("XDG_DATA_HOME",),
    f".local{os.sep}state": ("XDG_STATE_HOME",),
    "tmp": ("TMPDIR", "TMP", "TEMP"),
}
"""What a home holds, and the variables that name it."""

_SKELETON = {*_DIRECTORIES, "AppData", ".local"}


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
    for name in _DIRECTORIES:
        directory = f"{home}{os.sep}{name}"
        if not os.path.isdir(directory):  # noqa: PTH112 - once per launch and directory
            os.makedirs(directory, exist_ok=True)  # noqa: PTH103 - as above
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        **{
            variable: f"{home}{os.sep}{name}"
            for name, variables in _DIRECTORIES.items()
            for variable in variables
        },
    }


def is_untouched(home: Path) -> bool:
    """Whether a home holds the directories that ``home_variables`` made, and nothing else."""
    found: set[str] = set()
    try:
        for place, directories, files in os.walk(home):
            paths = [f"{place}{os.sep}{name}" for name in directories]
            if files or any(map(os.path.islink, paths)):
                return False
            found.update(os.path.relpath(path, home) for path in paths)
    except OSError:
        return False
    return found == _SKELETON
