"""The rows of the matrix in which servers find a small card, a full one, or two."""

import pytest

from harness.cells.running import run_cell
from harness.cells.workbench import Workbench
from harness.matrix.axes import Selection, select_cells
from harness.model import Verdict
from tests.live.cards import needs_card

pytestmark = pytest.mark.live

GOOD = {Verdict.PASS, Verdict.DEGRADED}


@pytest.mark.parametrize("build", ["b8929", "b9246"])
@pytest.mark.parametrize(
    ("environment", "devices"),
    [
        ("cuda-spoof:rtx-3060-laptop", ["CUDA0: NVIDIA GeForce RTX 3060 Laptop GPU (spoofed)"]),
        ("cuda-spoof:two-gpus",
         [f"CUDA{number}: NVIDIA GeForce RTX 4090 (spoofed)" for number in (0, 1)]),
        ("cuda-spoof:zero-memory", ["CUDA0: NVIDIA GeForce RTX 4090 (spoofed)"]),
    ],
)  # fmt: skip
def test_every_mode(workbench: Workbench, build: str, environment: str, devices: list[str]) -> None:
    needs_card(workbench, build, environment)
    chosen = Selection(builds=(build,), environments=(environment,), draft_lengths=("default",))
    for cell in select_cells(chosen, workbench.catalogue):
        result = run_cell(cell, workbench)
        assert result.status in GOOD, (cell, result.checks, result.failure)
        assert [*(result.devices or ())] == devices
        assert result.effective is not None
        on = result.effective["devices"]
        assert on == [device.partition(":")[0] for device in devices]
