"""What the recorded builds accept, and plans and requests for them."""

from functools import cache
from pathlib import Path

from harness.flags.capabilities import Capabilities, parse_help
from harness.model import Gpu, HostProfile, TinyModel

HELP = Path(__file__).parents[2] / "fixtures" / "help"

ANCIENT, LEGACY, RENAMED, MTP, NEWEST = "py0.3.16", "b8929", "b9093", "b9246", "b11434"
ERAS = (ANCIENT, LEGACY, RENAMED, MTP, NEWEST)

CPU = HostProfile()
GPU = HostProfile(gpus=(Gpu(index=0, name="GPU", memory_total_mib=24_000, memory_free_mib=23_000),))


@cache
def capabilities(build: str) -> Capabilities:
    return parse_help((HELP / f"{build}.txt").read_text(encoding="utf-8"))


def model(*, mtp: bool = False, billions: float = 8, draft: bool = True) -> TinyModel:
    return TinyModel(
        name="model",
        path=Path("model.gguf"),
        has_mtp=mtp,
        parameters=int(billions * 10**9),
        draft_path=Path("draft.gguf") if draft else None,
    )
