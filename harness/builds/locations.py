"""Where the harness keeps what it acquires and writes."""

from pathlib import Path

from harness.config.configuration import load_configuration
from harness.errors import ConfigurationError

CACHE_VARIABLE = "LLAMA_HARNESS_CACHE"


def cache_root() -> Path:
    """Return the store's root: the configured one, else the user's cache directory.

    Raises:
        ConfigurationError: The configuration is wrong, or the user has no home.
    """
    if chosen := load_configuration().settings.cache:
        return Path(chosen)
    import platformdirs

    try:
        own = Path(platformdirs.user_cache_dir("llama-harness", appauthor=False))
    except RuntimeError:  # from platformdirs 4.5 or so on; a relative path before
        own = Path()
    if not own.is_absolute():
        raise ConfigurationError(
            f"this user has no home directory to keep a cache in: name one with {CACHE_VARIABLE}"
        )
    return own


def user_catalogue_directory() -> Path:
    """Return the directory of the catalogue files that the user added."""
    return cache_root() / "catalogue"
