"""Puts ``nvidia-smi.exe`` in place on Windows: a launcher around this package's own answers.

There is no shell to run a script, and only an ``.exe`` is found by programs that start
``nvidia-smi`` without a suffix. It costs a start of Python, some 50 ms.
"""

import json
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


def write_launcher(programs: Path, machine: SpoofedMachine, variants: frozenset[Variant]) -> None:
    """Write ``nvidia-smi.exe`` into a directory.

    Args:
        programs: The directory, which exists.
        machine: The machine it speaks of.
        variants: ``hang``, ``no-driver`` and ``unmasked-smi`` change what it does.
    """
    from distlib.scripts import ScriptMaker

    state = {"machine": msgspec.to_builtins(machine), "variants": sorted(variants)}
    (programs / _STATE).write_text(json.dumps(state), encoding="utf-8")
    root = Path(__file__).resolve().parents[2]
    maker = ScriptMaker(None, str(programs), add_launchers=True)
    maker.variants = {""}
    maker.executable = sys.executable
    text = (
        f"import sys\nsys.path.insert(0, {str(root)!r})\n"
        "from harness.environments.smi_windows import main\n"
        f"sys.exit(main({str(programs / _STATE)!r}, sys.argv[1:]))\n"
    )
    maker.script_template = text.replace("%", "%%")
    maker.make("nvidia-smi = harness.environments.smi_windows:main")


def main(state: str, arguments: Sequence[str]) -> int:
    """Print what ``nvidia-smi`` answers and return its exit code.

    Args:
        state: The file beside the program that says which machine it speaks of.
        arguments: The command line.
    """
    path = Path(state)
    content = json.loads(path.read_text(encoding="utf-8"))
    variants = frozenset(content["variants"])
    while Variant.HANG in variants and path.exists():
        time.sleep(0.2)
    said = answer(
        msgspec.convert(content["machine"], SpoofedMachine),
        arguments,
        visible=None
        if Variant.UNMASKED_SMI in variants
        else os.environ.get("CUDA_VISIBLE_DEVICES"),
        now=datetime.now().astimezone(),
        no_driver=Variant.NO_DRIVER in variants,
    )
    sys.stdout.write(said.output)
    return said.exit_code
