"""Puts ``nvidia-smi.exe`` in place on Windows: a launcher around this package's own answers.

There is no shell to run a script, and only an ``.exe`` is found by programs that start
``nvidia-smi`` without a suffix. It costs a start of Python, some 50 ms.
"""

import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from harness.environments.machine import SpoofedMachine
from harness.environments.smi import answer
from harness.environments.variants import Variant

_STATE = "nvidia-smi.json"


class _State(msgspec.Struct, frozen=True, kw_only=True):
    machine: SpoofedMachine
    variants: frozenset[Variant]


def write_launcher(programs: Path, machine: SpoofedMachine, variants: frozenset[Variant]) -> None:
    """Write ``nvidia-smi.exe`` into a directory.

    Args:
        programs: The directory, which exists.
        machine: The machine it speaks of.
        variants: ``hang``, ``no-driver`` and ``unmasked-smi`` change what it does.
    """
    from distlib.scripts import ScriptMaker

    state = _State(machine=machine, variants=variants)
    (programs / _STATE).write_bytes(msgspec.json.encode(state))
    maker = ScriptMaker(None, str(programs), add_launchers=True)
    maker.variants = {""}
    maker.executable = sys.executable
    text = (
        f"import sys\nsys.path[:] = {_search_path()!r}\n"
        "from harness.environments.smi_windows import main\n"
        f"sys.exit(main({str(programs / _STATE)!r}, sys.argv[1:]))\n"
    )
    maker.script_template = text.replace("%", "%%")
    # Half of a start of Python is what lies in its site directory, the spoof's overlay included.
    arguments = {"interpreter_args": ["-IS"]}
    maker.make("nvidia-smi = harness.environments.smi_windows:main", options=arguments)


def _search_path() -> list[str]:
    """Where this package and what it needs are imported from."""
    own = str(Path(__file__).resolve().parents[2])
    return [own, *(str(Path(entry).absolute()) for entry in sys.path if entry)]


def main(state: str, arguments: Sequence[str]) -> int:
    """Print what ``nvidia-smi`` answers and return its exit code.

    Args:
        state: The file beside the program that says which machine it speaks of.
        arguments: The command line.
    """
    path = Path(state)
    known = msgspec.json.decode(path.read_bytes(), type=_State)
    while Variant.HANG in known.variants and path.exists():
        time.sleep(0.2)
    unmasked = Variant.UNMASKED_SMI in known.variants
    said = answer(
        known.machine,
        arguments,
        visible=None if unmasked else os.environ.get("CUDA_VISIBLE_DEVICES"),
        now=datetime.now().astimezone(),
        no_driver=Variant.NO_DRIVER in known.variants,
    )
    sys.stdout.write(said.output)
    return said.exit_code
