"""What ``docs/settings.md`` shows of the code: ``python -m tests.settings_page`` writes it anew.

The rows are those of ``tests/live/test_settings.py``, which real builds are held against.
"""

import io
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

from harness.cli import main as harness
from harness.settings.state import SETTINGS
from tests.live.test_settings import BUILDS, GROUPS, OF_THE_HOST, Case
from tests.page_parts import write_parts

PAGE: Final = Path(__file__).parents[1] / "docs" / "settings.md"
DRIFT: Final = ("py0.3.16", "b8929", "b9246", "b11434")
BARE: Final = ("-m", "MODEL")

ELSEWHERE: Final = {
    "speculation": ("[seven](verdicts.md#witnesses)", "all"),
    "port": ("request, startup-log", "all"),
    "model": ("props", "all"),
    "models": ("load-request", "b8929 on"),
    "model_ids": ("models", "b8929 on"),
}


def table() -> Iterator[str]:
    """A row for each setting, in the order in which they are shown."""
    cases = {one.setting: one for _, group in GROUPS.values() for one in group}
    yield "| setting | flags | witnesses | told on |"
    yield "|---|---|---|---|"
    for name, setting in SETTINGS.items():
        flags = [flag for family in setting.families for flag in (*family.flags, *family.negations)]
        shown = " ".join(f"`{flag}`" for flag in flags)
        if name in cases:
            witnesses, where = _witnesses(cases[name]), _where(cases[name])
        elif name in OF_THE_HOST:
            witnesses, where = "startup-log", "all; the harness's own value"
        else:
            witnesses, where = ELSEWHERE[name]
        yield f"| {name} | {shown} | {witnesses} | {where} |"


def _witnesses(one: Case) -> str:
    told = [name for build in BUILDS if build in _told(one) for name in sorted(one.told_by(build))]
    return ", ".join(dict.fromkeys(told))


def _told(one: Case) -> Sequence[str]:
    nowhere = one.absent | one.dies | one.aborts | one.untold
    return [build for build in BUILDS if build not in nowhere]


def _where(one: Case) -> str:
    told = _told(one)
    where = "all" if len(told) == len(BUILDS) else ", ".join(told)
    if told == [*BUILDS[-len(told) :]] and 1 < len(told) < len(BUILDS):
        where = f"{told[0]} on"
    notes = {
        "offered and not told": one.untold,
        "no effect": one.vain.keys(),
        "needs another model": one.dies,
        "aborts": one.aborts,
    }
    said = [f"{what} on {', '.join(_sorted(those))}" for what, those in notes.items() if those]
    return "; ".join([where, *said])


def _sorted(builds: Collection[str]) -> list[str]:
    return [build for build in BUILDS if build in builds]


def drift() -> Iterator[str]:
    """What ``check`` says of a bare command line; needs the builds."""
    builds = [word for build in DRIFT for word in ("--build", build)]
    with redirect_stdout(io.StringIO()) as said:
        harness(["check", "--format", "markdown", *builds, "--", *BARE])
    lines = said.getvalue().splitlines()
    yield from (line for line in lines if line.startswith("- "))


def main() -> int:
    """Write the parts of the page that are made."""
    write_parts(PAGE, {"table": [*table()], "drift": [*drift()]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
