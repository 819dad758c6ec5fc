"""What a static server is linked with to find a spoofed card: inert unless a variable says so.

``ggml-backend-reg.cpp`` asks ``ggml_backend_cuda_reg`` for the CUDA backend where it is compiled
with upstream's own ``GGML_USE_CUDA``; no other source of a headless server mentions that. The
starter answers it, see ``resources/card_starter.c``. Without the variable it answers that there is
none, and the server is as one compiled without.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

from harness.builds.headers import FOLDER, GGML, headers_digest, keep_headers
from harness.builds.platforms import Platform
from harness.builds.toolchain import Toolchain
from harness.errors import CompileError, SourceUnavailableError
from harness.processes.running import run_program

DEFINITION: Final = "GGML_USE_CUDA"
_SOURCE: Final = "card_starter.c"


@dataclass(frozen=True, kw_only=True)
class CardStarter:
    """A compiled starter.

    Attributes:
        object: What the server is linked with.
        headers: The digest of the headers that a card's library must be made for.
    """

    object: Path
    headers: str

    @property
    def variables(self) -> Mapping[str, str]:
        """What cmake is told besides, to be put behind what it is told already."""
        return {
            "CMAKE_CXX_FLAGS": f"-D{DEFINITION}",
            "CMAKE_EXE_LINKER_FLAGS": f'"{self.object}"',
        }


def compile_starter(
    tree: Path,
    scratch: Path,
    options: Mapping[str, str],
    toolchain: Toolchain,
    platform: Platform,
    *,
    env: Mapping[str, str],
    cancelled: threading.Event,
) -> CardStarter | None:
    """Compile the starter for a source tree; None where its server cannot have or needs none.

    Args:
        tree: The top of the llama.cpp sources.
        scratch: Where the object is put.
        options: cmake's.
        toolchain: What to compile with.
        platform: The machine to compile for. Linux alone so far: other linkers want every name of
            the starter in cmake's own trial programs too.
        env: The compiler's variables.
        cancelled: Ends the compiler when set.

    Raises:
        CompileError: It does not compile.
        SourceUnavailableError: The compiler cannot be started.
        CancelledError: The user gave up.
    """
    registry = tree / GGML / "src" / "ggml-backend-reg.cpp"
    if (
        platform.system != "linux"
        or not toolchain.c_compiler
        or options.get("GGML_CUDA", "OFF").upper() in {"ON", "1", "TRUE", "YES", "Y"}
        or options.get("BUILD_SHARED_LIBS", "OFF") != "OFF"
        or not registry.is_file()
        or DEFINITION not in registry.read_text(encoding="utf-8", errors="replace")
    ):
        return None
    try:
        keep_headers(tree, scratch)
    except SourceUnavailableError:
        return None
    digest = headers_digest(scratch / FOLDER)
    made = scratch / "card_starter.o"
    source = scratch / _SOURCE
    text = (resources.files("harness.builds") / "resources" / _SOURCE).read_text(encoding="utf-8")
    source.write_text(text, encoding="utf-8", newline="\n")
    command = [toolchain.c_compiler, "-O1", "-w", "-fPIC", f'-DCARD_HEADERS="{digest}"']
    command += ["-c", str(source), "-o", str(made)]
    done = run_program(command, directory=scratch, cancelled=cancelled, env=env)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if "error" in line]
        raise CompileError(f"{_SOURCE} does not compile: {(lines or ['no message'])[0]}")
    return CardStarter(object=made, headers=digest)
