"""Reads a profile from a host's real cards, so that others can pretend to have them."""

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.config.paths import take_place
from harness.environments.machine import Card, SpoofedMachine, decode_profile, encode_profile
from harness.errors import EnvironmentUnavailableError, UsageError
from harness.processes.running import ask

_TIMEOUT_S = 30
_FIELDS = (
    "index",
    "name",
    "uuid",
    "serial",
    "pci.bus_id",
    "pci.device_id",
    "pci.sub_device_id",
    "vbios_version",
    "compute_cap",
    "memory.total",
    "memory.reserved",
    "memory.used",
    "memory.free",
    "clocks.max.sm",
    "clocks.max.memory",
    "power.limit",
    "pcie.link.gen.max",
    "pcie.link.width.max",
    "temperature.gpu",
    "ecc.mode.current",
    "mig.mode.current",
    "fan.speed",
    "persistence_mode",
    "display_active",
)

_CORES = {60: 64, 61: 128, 62: 128, 70: 64, 72: 64, 75: 64, 80: 64}
"""FP32 lanes of one multiprocessor by compute capability, 128 from 8.6 on (CUDA guide)."""

_MULTIPROCESSORS, _BUS_BITS, _L2_BYTES = 16, 37, 38
"""Attributes of the CUDA driver that ``nvidia-smi`` does not tell."""

_NOTHING = frozenset({"[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", ""})


def capture_profile(env: Mapping[str, str]) -> SpoofedMachine:
    """Return the machine that ``nvidia-smi`` and the driver library in ``env`` describe.

    Args:
        env: The variables in which the driver is found, a user's own.

    Raises:
        EnvironmentUnavailableError: There is no card, or the tool does not answer; the message
            says which.
    """
    rows = _query(env)
    report = _run(env, "-q")
    sections = re.split(r"^GPU [0-9A-Fa-f]{8}:", report, flags=re.MULTILINE)[1:]
    attributes = _driver_attributes(env, len(rows))
    free = _free_in_contexts(env)
    cards = tuple(
        _card(row, section, driver, free.get(row["uuid"]))
        for row, section, driver in zip(rows, sections, attributes, strict=True)
    )
    machine = SpoofedMachine(
        driver_version=_labelled(report, "Driver Version", "0"),
        cuda_version=_labelled(report, "CUDA Version", "0.0"),
        cards=cards,
    )
    # What was read must be what a profile may say, or the file would be refused later.
    return decode_profile(encode_profile(machine), origin="of this host")


def write_profile(machine: SpoofedMachine, path: Path) -> None:
    """Write a profile; an existing file is replaced whole or not at all.

    Raises:
        UsageError: The file cannot be written.
    """
    try:
        handle, scratch = tempfile.mkstemp(dir=path.absolute().parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(encode_profile(machine))
            take_place(Path(scratch), path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"profile {path} cannot be written: {error.strerror}") from error


def _run(env: Mapping[str, str], *arguments: str) -> str:
    tool = shutil.which("nvidia-smi", path=env.get("PATH", ""))
    if tool is None:
        raise EnvironmentUnavailableError(
            "no card to capture: there is no nvidia-smi on PATH; run this on the host with the GPU"
        )
    try:
        done = ask([tool, *arguments], env=env, timeout_s=_TIMEOUT_S)
    except OSError as error:
        raise EnvironmentUnavailableError(f"no card to capture: {error}") from error
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())
        raise EnvironmentUnavailableError(
            f"no card to capture: nvidia-smi exited {done.returncode} and said: {said[:200]}"
        )
    return done.stdout


def _query(env: Mapping[str, str]) -> list[dict[str, str]]:
    text = _run(env, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits")
    rows = [dict(zip(_FIELDS, line.split(", "), strict=False)) for line in text.splitlines()]
    for row in rows:
        if len(row) != len(_FIELDS):
            raise EnvironmentUnavailableError(
                f"no card to capture: nvidia-smi answered {', '.join(row.values())[:200]!r}"
            )
    return rows


def _driver_attributes(env: Mapping[str, str], count: int) -> list[Mapping[int, int]]:
    from harness.environments.consistency import driver_attributes

    wanted = (_MULTIPROCESSORS, _BUS_BITS, _L2_BYTES)
    # CUDA orders cards as nvidia-smi does only when it is told to.
    found = driver_attributes({**env, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, wanted)
    if len(found) != count:
        raise EnvironmentUnavailableError(
            f"no card to capture: the CUDA driver library sees {len(found)} GPUs and nvidia-smi "
            f"{count}; unset CUDA_VISIBLE_DEVICES, and see that libcuda.so.1 can be loaded"
        )
    return found


def _free_in_contexts(env: Mapping[str, str]) -> Mapping[str, int]:
    """Return by uuid the MiB that CUDA reports as free inside a context."""
    from harness.environments.consistency import ask_layers

    (answer,) = (each for each in ask_layers(env) if each.layer == "cuda-driver")
    return {str(card["uuid"]): int(str(card["memory_free_mib"])) for card in answer.cards or ()}


def _card(
    row: Mapping[str, str], section: str, driver: Mapping[int, int], free_in_context: int | None
) -> Card:
    capability = row["compute_cap"]
    free = _number(row, "memory.free")
    return Card(
        name=row["name"],
        brand=_labelled(section, "Product Brand", "NVIDIA"),
        architecture=_labelled(section, "Product Architecture", "N/A"),
        uuid=row["uuid"],
        serial=None if row["serial"] in _NOTHING else row["serial"],
        pci_bus_id=row["pci.bus_id"],
        pci_device_id=int(row["pci.device_id"], 16),
        pci_subsystem_id=int(row["pci.sub_device_id"], 16),
        vbios_version=row["vbios_version"],
        compute_capability=capability,
        memory_total_mib=_number(row, "memory.total"),
        memory_reserved_mib=_number(row, "memory.reserved"),
        memory_used_mib=_number(row, "memory.used"),
        context_mib=0 if free_in_context is None else max(0, free - free_in_context),
        multiprocessors=driver[_MULTIPROCESSORS],
        cores_per_multiprocessor=_CORES.get(int(capability.replace(".", "")), 128),
        max_sm_clock_mhz=_number(row, "clocks.max.sm"),
        max_memory_clock_mhz=_number(row, "clocks.max.memory"),
        memory_bus_bits=driver[_BUS_BITS],
        l2_cache_kib=driver[_L2_BYTES] // 1024,
        power_limit_w=float(row["power.limit"]) if row["power.limit"] not in _NOTHING else 0.0,
        pcie_generation=_number(row, "pcie.link.gen.max"),
        pcie_width=_number(row, "pcie.link.width.max"),
        temperature_c=_number(row, "temperature.gpu"),
        mig=row["mig.mode.current"] not in _NOTHING,
        ecc=row["ecc.mode.current"] == "Enabled",
        fan=row["fan.speed"] not in _NOTHING,
        persistence_mode=row["persistence_mode"] == "Enabled",
        display_active=row["display_active"] == "Enabled",
    )


def _number(row: Mapping[str, str], field: str) -> int:
    value = row[field]
    return int(value) if value.isdecimal() else 0


def _labelled(text: str, label: str, default: str) -> str:
    match = re.search(rf"^\s*{re.escape(label)}\s*: (.+?)\s*$", text, flags=re.MULTILINE)
    return match.group(1) if match else default
