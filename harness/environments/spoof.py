"""Builds the directory that makes a machine without a GPU look as if it had one."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from harness.environments.faults import Fault
from harness.environments.machine import Card, SpoofedMachine
from harness.environments.smi_shell import shell_script

_PROGRAMS = "bin"
_PIPE = "answer"


@dataclass(frozen=True, kw_only=True)
class Spoof:
    """A spoof on disk.

    Attributes:
        machine: What it pretends, faults applied.
        programs: Directory to put first on PATH; empty where there is no ``nvidia-smi``.
        absent: Layers that this host cannot have, each with the reason.
    """

    machine: SpoofedMachine
    programs: Path
    absent: tuple[str, ...] = ()


def broken_machine(machine: SpoofedMachine, faults: frozenset[Fault]) -> SpoofedMachine:
    """Return the machine with the faults that change its cards applied."""
    cards = machine.cards
    if Fault.TWO_GPUS in faults:
        cards = (cards[0], _twin(cards[0]))
    if Fault.ZERO_MEMORY in faults:
        cards = tuple(
            msgspec.structs.replace(
                card, memory_used_mib=card.memory_total_mib - card.memory_reserved_mib
            )
            for card in cards
        )
    return msgspec.structs.replace(machine, cards=cards)


def _twin(card: Card) -> Card:
    # The second card differs where two equal cards differ: its uuid, serial and slot.
    domain, bus, slot = card.pci_bus_id.split(":")
    serial = None if card.serial is None else str(int(card.serial) + 1)
    first = format((int(card.uuid[4:12], 16) + 1) % 2**32, "08x")
    return msgspec.structs.replace(
        card,
        uuid=f"GPU-{first}{card.uuid[12:]}",
        serial=serial,
        pci_bus_id=f"{domain}:{(int(bus, 16) + 0x40) % 0x100:02X}:{slot}",
    )


@contextlib.contextmanager
def spoof_directory(
    directory: Path, machine: SpoofedMachine, faults: frozenset[Fault] = frozenset()
) -> Iterator[Spoof]:
    """Give a spoof of a machine in a directory that is made, and removed at the end.

    Args:
        directory: Does not exist yet.
        machine: The machine without the faults.
        faults: What is wrong with it.
    """
    broken = broken_machine(machine, faults)
    programs = directory / _PROGRAMS
    pipe = directory / _PIPE
    programs.mkdir(parents=True)
    try:
        if Fault.NO_SMI not in faults:
            _write_smi(programs, broken, faults, pipe)
        yield Spoof(machine=broken, programs=programs)
    finally:
        _release(pipe)
        shutil.rmtree(directory, ignore_errors=True)


def _write_smi(
    programs: Path, machine: SpoofedMachine, faults: frozenset[Fault], pipe: Path
) -> None:
    if sys.platform == "win32":
        from harness.environments.smi_windows import write_launcher

        write_launcher(programs, machine, faults)
        return
    fault = next((f for f in (Fault.HANG, Fault.NO_DRIVER) if f in faults), None)
    fifo = None
    if fault is Fault.HANG:
        os.mkfifo(pipe)
        fifo = pipe
    script = programs / "nvidia-smi"
    script.write_text(_script(machine, fault, fifo), encoding="utf-8")
    script.chmod(0o755)


_script = cache(lambda machine, fault, fifo: shell_script(machine, fault=fault, fifo=fifo))


def _release(pipe: Path) -> None:
    # A process that still waits for the spoofed answer wakes and ends.
    if sys.platform != "win32" and pipe.exists():
        with contextlib.suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
