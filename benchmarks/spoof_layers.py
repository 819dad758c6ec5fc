"""Do the layers of the spoof answer as the real ones do? Needs an NVIDIA card.

Asks ``nvidia-smi``, NVML, the CUDA driver library and torch on the real card and in a spoof made
from a profile of it, under every form of ``CUDA_VISIBLE_DEVICES``, and runs ``nvidia-smi`` with
many command lines in both. Prints what differs; ``--texts`` keeps what both said, to be compared.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.environments.capture import capture_profile
from harness.environments.consistency import LayerAnswer, ask_layers, visibility_settings
from harness.environments.environment import Environment, environment
from harness.environments.machine import SpoofedMachine
from harness.environments.smi_texts import card_answers
from harness.errors import HarnessError

FIELDS = (
    "index,name,uuid,memory.total,memory.free,memory.used,driver_version,compute_cap,"
    "utilization.gpu,utilization.memory,temperature.gpu,power.draw,power.limit,pstate,"
    "pci.bus_id,gpu_bus_id,count,display_mode,persistence_mode,fan.speed,ecc.mode.current,"
    "mig.mode.current,clocks.max.sm,gpu_name,gpu_uuid,serial,vbios_version,compute_mode"
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    ("-L",),
    ("-q",),
    ("-q", "-x"),
    ("-x", "-q"),
    ("-q", "-d", "MEMORY"),
    ("-q", "-i", "0"),
    ("-i", "7"),
    ("-L", "-i", "0"),
    *(
        (f"--query-gpu={FIELDS}", f"--format={style}")
        for style in ("csv", "csv,noheader", "csv,nounits", "csv,noheader,nounits", "csv,")
    ),
    ("--query-gpu=index,memory.free", "--format=csv,noheader,nounits"),
    ("--query-gpu=memory.free", "--format=csv,noheader,nounits", "--id=0"),
    ("--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", "9"),
    ("--query-gpu=nonsense", "--format=csv"),
    ("--query-gpu=index,nonsense", "--format=csv,noheader"),
    ("--query-gpu=index", "--format=json"),
    ("--query-gpu=index",),
    ("--query-gpu=", "--format=csv"),
    ("--query-compute-apps=pid,used_memory", "--format=csv"),
    ("--help-query-gpu",),
    ("--help",),
    ("-h",),
    ("--version",),
    ("--nonsense",),
    ("--list-gpus",),
    ("topo", "-m"),
    ("--format=csv",),
)


def main() -> int:
    """Print every difference; exit with 1 where there is one, 3 without a card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, metavar="DIR", help="keep what both said")
    parser.add_argument("--python", default=sys.executable, help="has pynvml and torch, perhaps")
    options = parser.parse_args()
    try:
        differences = [*differing_layers(options.python), *differing_texts(options.texts)]
    except HarnessError as error:
        print(f"spoof_layers: {error}", file=sys.stderr)
        return error.exit_code
    print("\n".join(differences) or "no difference")
    return 1 if differences else 0


@contextmanager
def on_card_and_in_spoof() -> Iterator[tuple[SpoofedMachine, Environment, Environment]]:
    """The card as captured, the environment with it, and the one that pretends it."""
    machine = capture_profile(os.environ)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        with (
            environment("cuda", home=home / "cuda") as real,
            environment(
                "cuda-spoof:unmasked-smi", home=home / "spoof", machine=machine
            ) as pretended,
        ):
            yield machine, real, pretended


def differing_layers(python: str) -> Iterator[str]:
    """Ask all layers under each setting, really and pretended."""
    with on_card_and_in_spoof() as (machine, real, pretended):
        for setting in visibility_settings(machine):
            chosen = {} if setting is None else {"CUDA_VISIBLE_DEVICES": setting}
            answers = zip(
                ask_layers({**real.variables, **chosen}, python=python),
                ask_layers({**pretended.variables, **chosen}, python=python),
                strict=True,
            )
            for on_card, in_spoof in answers:
                same = said(on_card) == said(in_spoof)
                print(f"{'same  ' if same else 'DIFFER'} {setting!r:<60} {on_card.layer}")
                if not same:
                    yield (
                        f"{on_card.layer} under {setting!r}\n"
                        f"  card  {said(on_card)}\n  spoof {said(in_spoof)}"
                    )


def said(answer: LayerAnswer) -> str:
    """An answer as text."""
    if answer.cards is None:
        return f"absent {answer.absent}; error {answer.error}"
    return json.dumps(answer.cards)


def differing_texts(texts: Path | None) -> Iterator[str]:
    """Run ``nvidia-smi`` with each command line, really and pretended."""
    with on_card_and_in_spoof() as (machine, real, pretended):
        every_field = f"--query-gpu={','.join(card_answers(machine, 0))}"
        for command in (*COMMANDS, (every_field, "--format=csv")):
            on_card = run_smi(command, real.variables)
            in_spoof = run_smi(command, pretended.variables)
            if texts:
                keep(texts, command, card=on_card, spoof=in_spoof)
            if lines(on_card) != lines(in_spoof):
                diff = difflib.unified_diff(
                    lines(on_card), lines(in_spoof), "card", "spoof", lineterm="", n=0
                )
                yield f"nvidia-smi {' '.join(command)[:120]}\n" + "\n".join(diff)


def run_smi(command: tuple[str, ...], env: Mapping[str, str]) -> str:
    """Exit code, then both streams."""
    program = shutil.which("nvidia-smi", path=env["PATH"])
    assert program is not None
    start = time.monotonic()
    done = subprocess.run(
        [program, *command], env=dict(env), capture_output=True, text=True, timeout=60, check=False
    )
    print(f"{(time.monotonic() - start) * 1000:6.0f} ms nvidia-smi {' '.join(command)[:80]}")
    return f"exit {done.returncode}\n{done.stdout}stderr: {done.stderr}"


def lines(text: str) -> list[str]:
    """Lines without the time of day."""
    return re.sub(r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}", "TIME", text).splitlines()


def keep(texts: Path, command: tuple[str, ...], **said: str) -> None:
    """Write what was said under a name that tells the command."""
    texts.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^\w.=-]+", "_", " ".join(command))[:60] or "plain"
    for who, text in said.items():
        (texts / f"{name}.{who}.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
