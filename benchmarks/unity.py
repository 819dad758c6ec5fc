"""Compiles a build as the units that the harness plans and as CMake's batches, and compares times.

Both compile the same unpacked sources with the same options, -O level for each target, memory for
GCC and cores, one after the other, with the compiler cache out of the way. CMake by itself joins
the sources of a target in their order, whatever they define: targets in which that does not compile
stay as they are.

    nox -s bench -- unity

On a machine that does other work at the same time, trust the processor seconds. The harness plans
units for as long as that is at least 1.3 times faster by these.
"""

import argparse
import dataclasses
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks._figures import add_json_option, keep
from benchmarks.compile import measure
from harness.builds import load_catalogue
from harness.builds.recipe import FAST, GCC_MEMORY, LIGHT_FLAGS
from harness.builds.unity import COMPUTES
from harness.errors import HarnessError
from harness.terminal import open_progress

BATCH: Final = 12
CLASH: Final = ("ggml-cpu", "llama", "llama-common", "mtmd")
"""Targets whose sources define the same names, and do not compile together in CMake's order."""

CMAKE_UNITY: Final = dataclasses.replace(
    FAST,
    unity=False,
    flags=FAST.flags + GCC_MEMORY,
    options={
        **FAST.options,
        "CMAKE_UNITY_BUILD": "ON",
        "CMAKE_UNITY_BUILD_BATCH_SIZE": str(BATCH),
    },
)
"""The harness's own recipe, without a plan."""

SAME_FOR_EACH_TARGET: Final = f"""
function(each_target directory)
  get_property(targets DIRECTORY ${{directory}} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${{targets}})
    get_target_property(type ${{target}} TYPE)
    if(NOT type MATCHES "^(STATIC_LIBRARY|OBJECT_LIBRARY|EXECUTABLE)$")
      continue()
    endif()
    if(NOT target MATCHES "^({COMPUTES.pattern})$")
      target_compile_options(${{target}} PRIVATE {" ".join(LIGHT_FLAGS)})
    endif()
    if(target MATCHES "^({"|".join(CLASH)})$")
      set_property(TARGET ${{target}} PROPERTY UNITY_BUILD OFF)
    endif()
  endforeach()
  get_property(directories DIRECTORY ${{directory}} PROPERTY SUBDIRECTORIES)
  foreach(each ${{directories}})
    each_target(${{each}})
  endforeach()
endfunction()
each_target(${{CMAKE_CURRENT_SOURCE_DIR}})
"""


def main() -> int:
    """Compile by both, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("id", nargs="?", default="b9246", metavar="ID")
    add_json_option(parser, "unity")
    options = parser.parse_args()
    try:
        build = load_catalogue().get(options.id)
        with open_progress() as progress, tempfile.TemporaryDirectory() as directory:
            downloads = Path(directory)
            cmake = measure(build, CMAKE_UNITY, downloads, progress, adding=SAME_FOR_EACH_TARGET)
            own = measure(build, FAST, downloads, progress)
    except HarnessError as error:
        sys.stderr.write(f"unity.py: {error}\n")
        return error.exit_code
    keep(
        f"compiling {build.id} as few large units",
        [
            {
                "sources": name,
                "wall_s": round(each.wall_s, 1),
                "cpu_s": round(each.cpu_s, 1),
                "megabytes": round(each.megabytes, 1),
                "times_own_wall": round(each.wall_s / own.wall_s, 2),
                "times_own_cpu": round(each.cpu_s / own.cpu_s, 2),
            }
            for name, each in (("batches of CMake", cmake), ("planned units", own))
        ],
        options.json,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
