"""What ``docs/apps.md`` shows of the gallery: ``nox -s apps -- --write`` writes it anew."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from tests.apps.gallery import ROOT, App, gallery
from tests.apps.kept import PASS, Kept, load

PAGE: Final = ROOT / "docs" / "apps.md"
_PARTS: Final = re.compile(r"(?s)(<!-- (?P<name>[\w-]+) -->\n).*?(<!-- end -->)")
_OF_ALL: Final = "results"
_NO_START: Final = "started no server"


def table(found: Mapping[str, Kept]) -> Iterator[str]:
    """A row for each application and environment, and what the numbers in it stand for."""
    builds = list(dict.fromkeys(b for one in found.values() for c in one.cells.values() for b in c))
    notes: dict[str, int] = {}
    yield f"| application | version | in | {' | '.join(builds)} |"
    yield "|---|---|---|" + "---|" * len(builds)
    for app in gallery():
        kept = found[app.name]
        rows: dict[tuple[str, ...], list[str]] = {}
        for environment, cells in kept.cells.items():
            shown = tuple(_field(cells.get(build, ""), notes) for build in builds)
            rows.setdefault(shown, []).append(environment)
        for shown, environments in rows.items():
            where = "both" if len(environments) == len(kept.cells) else ", ".join(environments)
            name = f"[{app.name}](#{app.name})"
            yield f"| {name} | {kept.version} | {where} | {' | '.join(shown)} |"
    yield ""
    for note, number in notes.items():
        yield f"{number}. {note}"


def _field(told: str, notes: dict[str, int]) -> str:
    if told in {PASS, ""}:
        return "ok" if told else ""
    verdict, _, why = told.partition(": ")
    if _NO_START in why:
        why = "it starts no server there"
        verdict = "none"
    number = notes.setdefault(why, len(notes) + 1)
    return f"{verdict} {number}"


def commands(app: App) -> Iterator[str]:
    """How an application is put under test, as a maintainer types it."""
    yield f"{app.file.about}"
    yield ""
    yield "```console"
    yield from (f"$ {line}" for line in app.shown())
    yield "```"


def made() -> Mapping[str, list[str]]:
    """Every part of the page that is made, by its mark."""
    return {_OF_ALL: [*table(load())], **{app.name: [*commands(app)] for app in gallery()}}


def parts(page: str) -> Mapping[str, list[str]]:
    """The lines of a page between its marks, by name."""
    return {one["name"]: one[0].splitlines()[1:-1] for one in _PARTS.finditer(page)}


def write() -> None:
    """Write the parts of the page that are made."""
    new = made()
    page = _PARTS.sub(
        lambda one: one[1] + "".join(f"{line}\n" for line in new[one["name"]]) + one[3],
        PAGE.read_text(encoding="utf-8"),
    )
    PAGE.write_text(page, encoding="utf-8")
