"""What tests of servers with spoofed cards share."""

from importlib import resources

import pytest

from harness.cells.workbench import Workbench
from harness.environments.machine import PROFILE_SUFFIX, load_profile

BUILDS = ("py0.3.16", "b8929", "b9246", "b9464", "b11434")


def needs_card(workbench: Workbench, build: str, environment: str = "cuda-spoof") -> None:
    """Skip where the build's server can find no card here, and say why."""
    layer = workbench.layer(build, environment)
    if layer.absent:
        pytest.skip(
            f"{build} finds no card: {'; '.join(filter(None, (layer.absent, layer.remedy)))}"
        )


def small_card(free_mib: int) -> str:
    """The text of a profile: the card of the default one, of which others hold all but so much."""
    card = load_profile().cards[0]
    used = card.cuda_total_mib - card.context_mib - free_mib
    folder = resources.files("harness.environments") / "profiles"
    text = (folder / f"rtx-4090{PROFILE_SUFFIX}").read_text(encoding="utf-8")
    return text.replace(
        f"memory_used_mib = {card.memory_used_mib}\n", f"memory_used_mib = {used}\n"
    )
