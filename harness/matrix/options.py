"""The options of a matrix, declared once for the command line and for pytest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from harness.errors import UsageError
from harness.matrix.axes import Selection

LOCAL: Final = "local"
_DASK: Final = "dask:"


@dataclass(frozen=True, kw_only=True)
class SelectionOption:
    """One option that selects cells.

    Attributes:
        name: Without dashes; pytest's is prefixed with ``matrix-``.
        field: The field of ``Selection`` it sets.
        many: Whether it may be repeated.
    """

    name: str
    field: str
    metavar: str
    help: str
    many: bool

    def arguments(self) -> Mapping[str, Any]:
        """Keyword arguments for ``add_argument`` or pytest's ``addoption``."""
        shared = {"dest": f"matrix_{self.field}", "metavar": self.metavar, "help": self.help}
        return {**shared, **({"action": "append", "default": []} if self.many else {"default": ""})}


SELECTION_OPTIONS: Final = tuple(
    SelectionOption(field=one.name, many=one.default == (), **one.metadata)
    for one in fields(Selection)
)

RUN_OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "executor": {
        "metavar": "WHERE",
        "default": LOCAL,
        "help": "local, or dask:ADDRESS for the workers of a Dask cluster (default: local)",
    },
    "jsonl": {"metavar": "FILE", "help": "write one JSON line per cell"},
    "junit": {"metavar": "FILE", "help": "write a JUnit file at the end"},
    "retries": {
        "metavar": "N",
        "type": int,
        "help": "run a bad cell again, alone, this often (default: 1)",
    },
    "reuse": {
        "action": "store_true",
        "help": "take verdicts of earlier runs with --reuse where build, command line, model, host "
        "and harness are the same; 2 %% of them are run all the same",
    },
    "fresh": {
        "action": "store_true",
        "help": "forget the plans and verdicts of earlier runs: make them anew",
    },
    "ledger": {"metavar": "FILE", "help": "known divergences"},
    "ledger-update": {
        "action": "store_true",
        "help": "propose ledger entries for the cells that fail; writes nothing",
    },
}
"""What is done with the cells, likewise; by name, with what ``add_argument`` takes."""


def selection_from(values: Mapping[str, Any]) -> Selection:
    """Read a selection from parsed options."""
    chosen: dict[str, Any] = {}
    for option in SELECTION_OPTIONS:
        value = values[f"matrix_{option.field}"]
        chosen[option.field] = tuple(value) if option.many else value
    return Selection(**chosen)


def as_pytest_arguments(selection: Selection) -> Iterator[str]:
    """The selection as arguments of pytest."""
    for option in SELECTION_OPTIONS:
        value = getattr(selection, option.field)
        for word in value if option.many else (value,) if value else ():
            yield f"--matrix-{option.name}={word}"


def dask_address(executor: str) -> str | None:
    """The scheduler's address in ``dask:ADDRESS``; None for ``local``.

    Raises:
        UsageError: It is neither.
    """
    address = executor.removeprefix(_DASK)
    if executor == LOCAL:
        return None
    if not executor.startswith(_DASK) or not address:
        raise UsageError(
            f"--executor {executor!r}: write {LOCAL}, or dask:ADDRESS with the address of a Dask "
            "scheduler, for example dask:tcp://10.0.0.1:8786"
        )
    return address
