"""The order in which results are read, whichever worker or shard finished first."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from harness.cells.names import DEFAULT_MODEL
from harness.model import CellResult, Mode

_LAST: Final = 10**9
_MODES: Final = tuple(mode.value for mode in Mode)


def in_reading_order(
    results: Iterable[CellResult], builds: Sequence[str] = ()
) -> tuple[CellResult, ...]:
    """Sort by subject, environment, build from old to new, mode, model and draft length.

    Args:
        results: In any order; subjects, environments and models keep theirs.
        builds: Build ids from old to new; others go by the number in their id.
    """
    results = tuple(results)
    ages = {build: place for place, build in enumerate(builds)}
    subjects = _places(result.subject for result in results)
    environments = _places(sorted({result.environment for result in results}))
    models = _places(sorted({result.request.model for result in results}, key=_model_key))

    def key(result: CellResult) -> tuple[object, ...]:
        request = result.request
        mode = request.mode or ""
        return (
            subjects[result.subject],
            environments[result.environment],
            ages.get(result.build, _LAST),
            _number(result.build),
            result.build,
            models[request.model],
            _MODES.index(mode) if mode in _MODES else len(_MODES),
            mode,
            -1 if request.draft_n_max is None else request.draft_n_max,
            request.extra_args,
        )

    return tuple(sorted(results, key=key))


def _places(items: Iterable[str]) -> dict[str, int]:
    return {item: place for place, item in enumerate(dict.fromkeys(items))}


def _model_key(model: str) -> tuple[bool, str]:
    return (model != DEFAULT_MODEL, model)


def _number(build: str) -> int:
    found = re.search(r"\d+", build)
    return int(found[0]) if found else _LAST
