"""The commands of pages whose output stands below them; run to write that anew."""

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Final

from harness.cli import main

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = tuple(ROOT / name for name in ("README.md", "docs/check.md", "docs/upgrading.md"))
BLOCK: Final = re.compile(
    r"```console\n\$ llama-harness (?P<command>(?:check|upgrade) .*)\n(?P<printed>(?:.+\n|\n)*?)```"
)


def printed_by(command: str) -> str:
    """What a command prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(shlex.split(command))
    return out.getvalue()


def written_anew(page: str) -> str:
    """A page with what its commands print today."""

    def run(found: re.Match[str]) -> str:
        return f"```console\n$ llama-harness {found['command']}\n{printed_by(found['command'])}```"

    return BLOCK.sub(run, page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(written_anew(path.read_text("utf-8")), encoding="utf-8")
