"""The results of a run as a picture: builds across, requests down, a colour for what drafts."""

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from harness.model import BAD, CellResult, Verdict
from harness.report.outline import SHORT_NAMES, grouped

_SIDE, _LEFT, _TOP, _GAP = 16, 190, 60, 14
"""Points: of a field, left of the first, above it, and between two environments."""
_LEGEND: Final = 560
"""Points that all colours with their names take."""
_FAIL: Final = "fails"
_UNKNOWN: Final = "cannot tell"
_COLOURS: Final = {
    "off": "#d9dce1",
    "draft": "#e0a030",
    "ngram-simple": "#9bc98a",
    "ngram": "#3f9a5a",
    "mtp": "#4a7fc8",
    "mtp + ngram": "#7b5bb0",
    _FAIL: "#c8322b",
    _UNKNOWN: "#e07ac0",
}


def state(results: Sequence[CellResult]) -> str:
    """What drafts in cells that differ only in the length that is asked for; the worst of them."""
    verdicts = {one.status for one in results}
    if Verdict.FAIL in verdicts:
        return _FAIL
    if not BAD.isdisjoint(verdicts) or any(one.drafts is None for one in results):
        return _UNKNOWN
    names = sorted({SHORT_NAMES.get(name, name) for one in results for name in one.drafts or {}})
    return " + ".join(names) or "off"


def heat_map(results: Sequence[CellResult]) -> Iterator[str]:
    """The picture as SVG, line by line."""
    builds = [*dict.fromkeys(one.build for one in results)]
    rows = grouped(results, lambda one: (one.environment, one.request.model, one.request.spelling))
    environments = [*dict.fromkeys(environment for environment, *_ in rows)]
    places = {
        key: _TOP + at * _SIDE + environments.index(key[0]) * _GAP for at, key in enumerate(rows)
    }
    width = _LEFT + max(len(builds) * _SIDE + 20, _LEGEND)
    bottom = max(places.values(), default=_TOP) + _SIDE
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {bottom + 40}" '
        f'width="{width}" font-family="sans-serif" font-size="10">'
    )
    yield f'<rect width="{width}" height="{bottom + 40}" fill="#fff"/>'
    for at, build in enumerate(builds):
        x = _LEFT + at * _SIDE + 11
        yield f'<text transform="translate({x},{_TOP - 6}) rotate(-60)">{escape(build)}</text>'
    shown: dict[str, str] = {}
    for (environment, model, mode), of_row in rows.items():
        y = places[environment, model, mode]
        label = escape(f"{environment} {model} {mode}")
        yield f'<text x="{_LEFT - 6}" y="{y + 12}" text-anchor="end">{label}</text>'
        for build, of_field in grouped(of_row, lambda one: one.build).items():
            told = state(of_field)
            shown[told] = colour = _COLOURS.get(told, "#806040")
            x = _LEFT + builds.index(build) * _SIDE
            title = escape(f"{build} {environment} {model} {mode}: {told}")
            yield (
                f'<rect x="{x}" y="{y}" width="{_SIDE - 1}" height="{_SIDE - 1}" '
                f"fill={quoteattr(colour)}><title>{title}</title></rect>"
            )
    x = _LEFT
    for told in sorted(shown, key=[*_COLOURS, *shown].index):
        yield f'<rect x="{x}" y="{bottom + 14}" width="12" height="12" fill="{shown[told]}"/>'
        yield f'<text x="{x + 16}" y="{bottom + 24}">{escape(told)}</text>'
        x += 34 + 6 * len(told)
    yield "</svg>"
