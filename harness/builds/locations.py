"""Where the harness keeps what it acquires and writes."""

from pathlib import Path

from harness.config import load_configuration

CACHE_VARIABLE = "LLAMA_HARNESS_CACHE"


def cache_root() -> Path:
    """Return the store's root: the configured one, else the user's cache directory.

    Raises:
        ConfigurationError: The configuration is wrong.
    """
    if chosen := load_configuration().settings.cache:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("llama-harness", appauthor=False))


def user_catalogue_directory() -> Path:
    """Return the directory of the catalogue files that the user added."""
    return cache_root() / "catalogue"
