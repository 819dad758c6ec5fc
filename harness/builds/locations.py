"""Where the harness keeps what it acquires and writes."""

import os
from pathlib import Path

CACHE_VARIABLE = "LLAMA_HARNESS_CACHE"


def cache_root() -> Path:
    """Return the store's root: ``LLAMA_HARNESS_CACHE``, else the user's cache directory."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("llama-harness", appauthor=False))


def user_catalogue_directory() -> Path:
    """Return the directory of the catalogue files that the user added."""
    return cache_root() / "catalogue"
