"""Where subjects keep what they fetched, in the user's cache directory."""

import os
from pathlib import Path


def subject_cache() -> Path:
    """The directory; ``LLAMA_HARNESS_CACHE`` moves the whole cache elsewhere."""
    chosen = os.environ.get("LLAMA_HARNESS_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "subjects"
    import platformdirs

    return platformdirs.user_cache_path("llama-harness", appauthor=False) / "subjects"
