"""A launch sees a host with one core, so that "as many threads as cores" means one thread.

The threads of a llama-server wait for each other by spinning. Where anything else wants a core as
well, each of their thousands of meetings lasts until the scheduler brings the missing one back: a
tiny model that answers in a tenth of a second then takes minutes. ``LLAMA_ARG_THREADS`` says one
thread where argv says nothing; an application's own ``--threads -1`` must stay in argv, and asks
the C library for the number of cores. The threads of ik_llama.cpp's draft model have neither a
variable nor that question: it counts the cores that it finds under ``/sys``.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from harness.builds.locations import cache_root
from harness.environments.native_libraries import compiled_libraries

_LIBRARY: Final = "one-core.so"
_PATH: Final = "LD_LIBRARY_PATH"


def one_core_variables(cache: Path | None = None) -> Mapping[str, str]:
    """Variables for a server process; none where the host cannot do it (no Linux, no compiler).

    To be put together with others by ``joined``: the library is named without its directory, since
    a space in LD_PRELOAD separates names and cannot be quoted.

    Args:
        cache: Where the library is kept; the store's root if not given.
    """
    if not sys.platform.startswith("linux"):
        return {}
    kept = (cache or cache_root()) / "one-core"
    compiled = compiled_libraries({_LIBRARY: "one_core.c"}, "native/one_core", kept)
    if isinstance(compiled, str) or os.pathsep in str(kept):
        return {}
    return {"LD_PRELOAD": _LIBRARY, _PATH: str(compiled[_LIBRARY].parent)}
