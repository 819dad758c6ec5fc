"""Builds: the catalogue, the sources they come from, and the store that keeps them.

Example:
    >>> from harness.builds import Store, load_catalogue
    >>> build = load_catalogue().get("b9246")
    >>> Store().acquire(build).binary  # doctest: +SKIP
"""

from harness.builds.catalogue import Build, Catalogue, Expected, load_catalogue
from harness.builds.manifest import Manifest
from harness.builds.store import AcquiredBuild, Store

__all__ = [
    "AcquiredBuild",
    "Build",
    "Catalogue",
    "Expected",
    "Manifest",
    "Store",
    "load_catalogue",
]
