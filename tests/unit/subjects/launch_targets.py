import os
from pathlib import Path

from harness.model import LaunchTarget, LoadRequest, TinyModel

PORT = 40123
MODEL = Path("/models/tiny.gguf")
DRAFT = Path("/models/draft.gguf")


def target(tmp_path: Path, *, draft: bool = False) -> LaunchTarget:
    return LaunchTarget(
        binary=tmp_path / "llama-server",
        model=TinyModel(
            name="tiny",
            path=MODEL,
            has_mtp=False,
            parameters=1,
            draft_path=DRAFT if draft else None,
        ),
        port=PORT,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )


def request(**wishes: object) -> LoadRequest:
    return LoadRequest(**{"model": "tiny", "mode": "mtp", **wishes})  # type: ignore[arg-type]
