"""Builds the directory that makes a machine without a GPU look as if it had one."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType

import msgspec

from harness.environments.machine import Card, SpoofedMachine
from harness.environments.machine_text import machine_text
from harness.environments.native_libraries import NativeLibraries
from harness.environments.smi_shell import shell_script
from harness.environments.variants import Variant

ZERO_MEMORY_FLOOR_MIB = 256
"""What CUDA still has for a server on a card without free memory: a tiny model and its kernels. On
a real card that is full no server with a CUDA backend starts at all, whatever it is told; then
there would be nothing to see of what an application makes of the number."""

_UNANSWERED = "unanswered.txt"
MACHINE_FILE = "machine.txt"
"""Beside each library: what it tells."""
_PYNVML = "spoofed_pynvml.py"


@dataclass(frozen=True, kw_only=True)
class Spoof:
    """A spoof on disk.

    Attributes:
        machine: What it pretends, variants applied.
        programs: Directory to put first on PATH.
        libraries: Directory for LD_LIBRARY_PATH; on Windows, whose programs look on PATH, that of
            the programs.
        python: Directory for PYTHONPATH.
        absent: Layers that this host cannot have, each with the reason.
        has_driver: Whether the libraries find a driver.
    """

    machine: SpoofedMachine
    programs: Path
    libraries: Path
    python: Path
    absent: Mapping[str, str] = field(default_factory=dict)
    has_driver: bool = True

    def variables(self) -> Mapping[str, str]:
        """Return what must be set besides PATH for every layer to be found."""
        on_path = self.absent or self.libraries == self.programs
        libraries = {} if on_path else {"LD_LIBRARY_PATH": str(self.libraries)}
        return {"PYTHONPATH": str(self.python), **libraries}

    def unanswered(self) -> tuple[str, ...]:
        """Return the driver calls that programs made and the spoof could not answer."""
        try:
            text = (self.libraries / _UNANSWERED).read_text(encoding="utf-8")
        except OSError:
            return ()
        return tuple(dict.fromkeys(text.splitlines()))


def varied_machine(machine: SpoofedMachine, variants: frozenset[Variant]) -> SpoofedMachine:
    """Return the machine with the variants that change its cards applied."""
    cards = machine.cards
    if Variant.TWO_GPUS in variants:
        cards = (cards[0], _twin(cards[0]))
    if Variant.ZERO_MEMORY in variants:
        cards = tuple(
            msgspec.structs.replace(
                card,
                memory_used_mib=card.memory_total_mib - card.memory_reserved_mib,
                cuda_floor_mib=ZERO_MEMORY_FLOOR_MIB,
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
    directory: Path,
    machine: SpoofedMachine,
    variants: frozenset[Variant] = frozenset(),
    *,
    native: NativeLibraries | None = None,
) -> Iterator[Spoof]:
    """Give a spoof of a machine in a directory that is made, and removed at the end.

    Args:
        directory: Does not exist yet.
        machine: The machine without the variants.
        variants: How it differs.
        native: The compiled libraries; without them the spoof has no library layers.
    """
    native = native or NativeLibraries(absent=MappingProxyType({"libraries": "not asked for"}))
    spoof = Spoof(
        machine=varied_machine(machine, variants),
        programs=directory / "bin",
        libraries=directory / ("bin" if sys.platform == "win32" else "lib"),
        python=directory / "python",
        absent=native.absent,
        has_driver=Variant.NO_DRIVER not in variants,
    )
    pipe = directory / "answer"
    try:
        for folder in (spoof.programs, spoof.libraries, spoof.python):
            folder.mkdir(parents=True, exist_ok=True)
        if Variant.NO_SMI not in variants:
            _write_smi(spoof, variants, pipe)
        _write_libraries(spoof, variants, native)
        _write_overlay(spoof, variants)
        yield spoof
    finally:
        _release(pipe)
        shutil.rmtree(directory, ignore_errors=True)


def _write_smi(spoof: Spoof, variants: frozenset[Variant], pipe: Path) -> None:
    if sys.platform == "win32":
        from harness.environments.smi_windows import write_launcher

        write_launcher(spoof.programs, spoof.machine, variants)
        return
    waits_on = None
    if Variant.HANG in variants:
        os.mkfifo(pipe)
        waits_on = pipe
    script = spoof.programs / "nvidia-smi"
    script.write_text(_script(spoof.machine, variants, waits_on), encoding="utf-8", newline="\n")
    script.chmod(0o755)


@cache
def _script(machine: SpoofedMachine, variants: frozenset[Variant], waits_on: Path | None) -> str:
    return shell_script(
        machine,
        unmasked=Variant.UNMASKED_SMI in variants,
        no_driver=Variant.NO_DRIVER in variants,
        waits_on=waits_on,
    )


def _write_libraries(spoof: Spoof, variants: frozenset[Variant], native: NativeLibraries) -> None:
    for name, compiled in native.paths.items():
        # A copy, not a link: the library finds the machine beside itself.
        shutil.copyfile(compiled, spoof.libraries / name)
        if (plain := name.removesuffix(".1")) != name:
            (spoof.libraries / plain).symlink_to(name)
    text = machine_text(
        spoof.machine,
        no_driver=Variant.NO_DRIVER in variants,
        unmasked_smi=Variant.UNMASKED_SMI in variants,
    )
    (spoof.libraries / MACHINE_FILE).write_text(text, encoding="utf-8", newline="\n")


def _write_overlay(spoof: Spoof, variants: frozenset[Variant]) -> None:
    for name, text in _overlay_sources(absent=bool(spoof.absent)).items():
        (spoof.python / name).write_text(text, encoding="utf-8", newline="\n")
    machine = {
        "driver_version": spoof.machine.driver_version,
        "cuda_version": spoof.machine.cuda_version,
        "unmasked_smi": Variant.UNMASKED_SMI in variants,
        "no_driver": Variant.NO_DRIVER in variants,
        "cards": msgspec.to_builtins(spoof.machine.cards),
    }
    (spoof.python / "machine.json").write_text(json.dumps(machine), encoding="utf-8", newline="\n")


@cache
def _overlay_sources(*, absent: bool) -> Mapping[str, str]:
    package = resources.files("harness.environments")
    overlay = package / "overlay"
    files = {
        "sitecustomize.py": overlay / "sitecustomize.py",
        "spoofed_torch.py": overlay / "spoofed_torch.py",
        "spoofed_visibility.py": package / "visibility.py",
    }
    if absent:
        files[_PYNVML] = overlay / _PYNVML
    elif sys.platform == "win32":
        files[_PYNVML] = overlay / "pynvml_of_windows.py"
    return {name: file.read_text(encoding="utf-8") for name, file in files.items()}


def _release(pipe: Path) -> None:
    # A process that still waits for the spoofed answer wakes and ends.
    if sys.platform != "win32" and pipe.exists():
        with contextlib.suppress(OSError):
            os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
