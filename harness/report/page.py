"""Results as one self-contained HTML file: no network, no server, no other file."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.flags.capabilities import Capabilities
from harness.model import CellResult
from harness.report.html import render_template
from harness.report.outline import label, offending, request_text, short_state
from harness.report.timeline import FlagLife, flag_lives


@dataclass(frozen=True, kw_only=True)
class Run:
    """The results of one run.

    Attributes:
        name: What the page calls it, usually the file's name.
    """

    name: str
    results: tuple[CellResult, ...]


def render_page(
    runs: Sequence[Run], capabilities: Mapping[str, Capabilities], *, title: str
) -> str:
    """The whole page.

    Args:
        runs: The first is shown; any two can be compared.
        capabilities: Of the builds whose ``--help`` is known, oldest first; for the timeline.
        title: The page's heading.
    """
    data = {
        "runs": [
            {"name": run.name, "cells": [_cell(result) for result in run.results]} for run in runs
        ],
        "timeline": _timeline(flag_lives(capabilities, _flags_used(runs)), tuple(capabilities)),
    }
    return render_template("report.html.j2", title=title, data=data)


def _cell(result: CellResult) -> Mapping[str, Any]:
    built: dict[str, Any] = msgspec.to_builtins(result)
    built["short"] = short_state(result.drafts)
    built["wish"] = request_text(result.request)
    built["label"] = label(result)
    built["offending"] = offending(result)
    built["attempts"] = [_cell(attempt) for attempt in result.attempts]
    return built


def _flags_used(runs: Iterable[Run]) -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(
            word
            for run in runs
            for result in run.results
            for word in result.argv
            if word.startswith("-") and not word.lstrip("-").isdecimal()
        )
    )


def _timeline(lives: Sequence[FlagLife], builds: Sequence[str]) -> Mapping[str, Any]:
    return {
        "builds": list(builds),
        "flags": [
            {"flag": life.flag, "states": [str(one) for one in life.states]} for life in lives
        ],
    }
