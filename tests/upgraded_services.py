"""What becomes of the files of ``fixtures/services`` from build to build; run to write it anew.

The diffs beside them were reviewed by hand; a test holds them against what is written today.
"""

from itertools import pairwise
from pathlib import Path
from typing import Final

from harness.formats import read_text
from harness.upgrade.files import diff, rewritten_files
from harness.upgrade.presets import rewrite_preset
from harness.upgrade.rewriting import rewrite
from tests.generated_lines import era

SERVICES: Final = Path(__file__).parents[1] / "fixtures" / "services"
DIFFS: Final = SERVICES / "diffs"
WAY: Final = ("py0.3.16", "b8929", "b9246", "b11434")
FILES: Final = tuple(sorted(path.name for path in SERVICES.iterdir() if path.is_file()))


def upgraded(name: str, folder: Path) -> str:
    """Upgrade a copy of a file all the way, and say what changes at each step."""
    path = folder / name
    path.write_bytes((SERVICES / name).read_bytes())
    told = []
    for old, new in pairwise(WAY):
        texts = step(path, old, new)
        told.append(f"# {old} -> {new}\n")
        told += (line.replace(_in_diffs(folder), "services") for line in diff(texts))
        for file, (_, after) in texts.items():
            file.write_text(after, encoding="utf-8", newline="")
    return "".join(told)


def _in_diffs(folder: Path) -> str:
    return folder.relative_to(folder.anchor).as_posix()


def step(path: Path, old: str, new: str) -> dict[Path, tuple[str, str]]:
    """The text of a file before and after one step."""
    text = path.read_bytes().decode("utf-8")
    eras = era(old), era(new)
    if path.suffix == ".ini":
        # py0.3.16 has no router.
        after = text if old == WAY[0] else rewrite_preset(text, *eras).text
        return {path: (text, after)} if after != text else {}
    lines = read_text(text, str(path), path=path)
    changes = {name: rewrite(line, *eras).stages for name, line in lines.items()}
    return dict(rewritten_files(path, changes, {}))


def write_diffs(folder: Path) -> None:
    """Write every diff anew."""
    DIFFS.mkdir(exist_ok=True)
    for name in FILES:
        (DIFFS / f"{name}.diff").write_text(upgraded(name, folder), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        write_diffs(Path(directory))
