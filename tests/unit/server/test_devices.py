"""What a server lists to compute on."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.model import Gpu, HostProfile
from harness.report.outline import host_text
from harness.server.devices import list_devices
from tests.unit.results import result

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")

CUDA = "Available devices:\\n  CUDA0: NVIDIA H100 80GB HBM3 (81079 MiB, 80552 MiB free)\\n"
VULKAN = "Available devices:\\n  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits)\\n"


@pytest.mark.parametrize(
    ("prints", "listed"),
    [
        (CUDA, ("CUDA0: NVIDIA H100 80GB HBM3",)),
        (VULKAN, ("Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits)",)),
        ("Available devices:\\n", ()),
        ("Available devices:\\n  (none)\\n", ()),
        ("ggml_cuda_init: found 1 CUDA devices:\\n  Device 0: X\\n" + CUDA,
         ("CUDA0: NVIDIA H100 80GB HBM3",)),
        ("", None),
    ],
)  # fmt: skip
def test_reads_what_is_listed(tmp_path: Path, prints: str, listed: tuple[str, ...] | None) -> None:
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\nprintf '{prints}'\n", encoding="utf-8")
    server.chmod(0o755)
    found = list_devices(server, dict(os.environ))
    assert (None if found is None else tuple(map(str, found))) == listed


def test_reads_how_much_memory_there_is(tmp_path: Path) -> None:
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\nprintf '{CUDA}{VULKAN}'\n", encoding="utf-8")
    server.chmod(0o755)
    card, renderer = list_devices(server, dict(os.environ)) or ()
    assert (card.name, card.total_mib, card.free_mib) == ("CUDA0", 81079, 80552)
    assert (renderer.name, renderer.total_mib, renderer.free_mib) == ("Vulkan0", None, None)


def test_a_server_that_cannot_tell(tmp_path: Path) -> None:
    assert list_devices(tmp_path / "none", {}) is None
    server = tmp_path / "llama-server"
    server.write_text("#!/bin/sh\necho 'Available devices:'\nexit 1\n", encoding="utf-8")
    server.chmod(0o755)
    assert list_devices(server, dict(os.environ)) is None
    server.write_text("#!/bin/sh\nexec sleep 30\n", encoding="utf-8")
    assert list_devices(server, dict(os.environ), timeout_s=0.2) is None


def test_a_report_tells_where_servers_ran() -> None:
    seen = HostProfile(gpus=(Gpu(index=0, name="G", memory_total_mib=1, memory_free_mib=1),))
    cell = replace(result(), host=seen)
    assert host_text([cell]) == "G", "nobody told"
    on_cpu, on_card = replace(cell, devices=()), replace(cell, devices=("CUDA0: G",))
    assert host_text([on_cpu]) == "G; servers on the CPU"
    assert host_text([on_card]) == "G; servers on CUDA0: G"
    assert host_text([on_card, on_cpu]) == "G; servers on CUDA0: G or on the CPU"
    hidden = replace(on_card, host=None, devices=("Vulkan0: G",))
    assert host_text([hidden]) == "no GPU; servers on Vulkan0: G"
    assert host_text([replace(hidden, devices=())]) == "no GPU"
    spoofed = ("CUDA0: G (spoofed)", "CUDA1: G (spoofed)")
    pretended = replace(cell, devices=spoofed)
    assert host_text([pretended]) == "G; servers on CUDA0, CUDA1 (spoofed)"
    assert host_text([pretended, on_cpu]) == "G; servers on CUDA0, CUDA1 (spoofed) or on the CPU"
