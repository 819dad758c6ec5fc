"""What ``nvidia-smi`` answers to a command line, on a spoofed machine.

:func:`answer` states it; :mod:`harness.environments.smi_shell` writes the same as a shell script,
and a property test holds the two together. What is said stands in ``resources/smi.toml``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from harness.environments.machine import SpoofedMachine
from harness.environments.smi_texts import (
    FIXED_TEXTS,
    Answer,
    card_answers,
    card_texts,
    machine_texts,
    refusal,
    tables,
)
from harness.environments.visibility import visible_indices

_Field = TypeVar("_Field", Answer, str)


@dataclass(frozen=True, kw_only=True)
class SmiAnswer:
    """What the program prints on standard output, and its exit code."""

    output: str
    exit_code: int = 0


def answer(
    machine: SpoofedMachine,
    arguments: Sequence[str],
    *,
    visible: str | None,
    now: datetime,
    no_driver: bool = False,
) -> SmiAnswer:
    """Return what ``nvidia-smi ARGUMENTS`` answers.

    Args:
        machine: The machine.
        arguments: The command line without the program.
        visible: ``CUDA_VISIBLE_DEVICES``; None where it is not set or not respected.
        now: The local time.
        no_driver: Whether the driver cannot be reached.
    """
    if no_driver:
        exit_code, output = refusal("no_driver")
        return SmiAnswer(output=output, exit_code=exit_code)
    try:
        switches, values = _parse(arguments)
        return SmiAnswer(output=_print(machine, switches, values, visible, now))
    except _Refused as refused:
        return SmiAnswer(output=refused.output, exit_code=refused.exit_code)


class _Refused(Exception):  # noqa: N818 - it carries an answer, not an error of ours
    def __init__(self, name: str, subject: str = "") -> None:
        super().__init__(name, subject)
        self.exit_code, self.output = refusal(name, subject)


def _parse(arguments: Sequence[str]) -> tuple[set[str], dict[str, str]]:
    switches: set[str] = set()
    values: dict[str, str] = {}
    known = tables()
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, value = argument.partition("=")
        if argument in known.switches:
            switches.add(known.switches[argument])
        elif option in known.valued:
            if not equals:
                if not rest:
                    raise _Refused("missing_value", option)
                value = rest.pop(0)
            values[known.valued[option]] = value
        else:
            raise _Refused("unrecognized", argument)
    if "format" in values and not {"gpu", "apps"} & values.keys():
        raise _Refused("unrecognized", f"--format={values['format']}")
    return switches, values


def _print(
    machine: SpoofedMachine,
    switches: set[str],
    values: Mapping[str, str],
    visible: str | None,
    now: datetime,
) -> str:
    for switch in FIXED_TEXTS:
        if switch in switches:
            return machine_texts(machine, now="", count="")[switch]
    if "list" in switches and "id" in values:
        raise _Refused("id_with_list")
    chosen = _chosen(machine, values.get("id"), visible)
    if "gpu" in values:
        return _csv(machine, chosen, values, now)
    if "apps" in values:
        return _csv_apps(values)
    return _report(machine, switches, chosen, now)


def _report(
    machine: SpoofedMachine, switches: set[str], chosen: Sequence[int], now: datetime
) -> str:
    # ctime is in English whatever the locale, as the tool is.
    texts = machine_texts(machine, now=now.ctime(), count=str(len(chosen)))
    if "topo" in switches:
        return _topology(chosen, texts)
    cards = [card_texts(machine, index) for index in chosen]
    if "list" in switches:
        return "".join(card["list"] for card in cards)
    report = "table"
    if "query" in switches:
        report = "xml" if "xml" in switches else "query"
    shown = "".join(card[report] for card in cards)
    return texts[f"{report}_head"] + shown + texts[f"{report}_foot"]


def _chosen(machine: SpoofedMachine, wanted: str | None, visible: str | None) -> list[int]:
    chosen = sorted(visible_indices(visible, [card.uuid for card in machine.cards]))
    if wanted is not None:
        named = set()
        for name in wanted.split(","):
            matches = [index for index in chosen if name in _card_ids(machine, index)]
            if not matches:
                raise _Refused("no_devices")
            named.update(matches)
        chosen = sorted(named)
    if not chosen:
        raise _Refused("no_devices")
    return chosen


def _card_ids(machine: SpoofedMachine, index: int) -> tuple[str, ...]:
    """The names by which ``-i`` selects a card."""
    card = machine.cards[index]
    bus_id = card.pci_bus_id
    return (str(index), card.uuid, bus_id, bus_id[4:], bus_id.partition(":")[2])


def _csv(
    machine: SpoofedMachine, chosen: Sequence[int], values: Mapping[str, str], now: datetime
) -> str:
    header, units = _format(values)
    # The spoof does not tell milliseconds.
    dynamic = {"timestamp": f"{now:%Y/%m/%d %H:%M:%S}.000", "count": str(len(chosen))}
    rows: list[str] = []
    for index in chosen:
        answers = card_answers(machine, index) | {
            name: Answer(column=name, with_unit=value, value=value)
            for name, value in dynamic.items()
        }
        asked = [_field(answers, name) for name in _names(values["gpu"])]
        if header and not rows:
            rows.append(", ".join(each.column for each in asked))
        rows.append(", ".join(each.with_unit if units else each.value for each in asked))
    return "".join(f"{row}\n" for row in rows)


def _csv_apps(values: Mapping[str, str]) -> str:
    header, _ = _format(values)
    columns = [_field(tables().app_fields, name) for name in _names(values["apps"])]
    return ", ".join(columns) + "\n" if header else ""


def _field(fields: Mapping[str, _Field], name: str) -> _Field:
    if name not in fields:
        raise _Refused("unknown_field", name)
    return fields[name]


def _names(listed: str) -> list[str]:
    """Return the entries of a list; empty ones are passed over, as after a trailing comma."""
    return [name for each in listed.split(",") if (name := each.strip(" "))]


def _format(values: Mapping[str, str]) -> tuple[bool, bool]:
    parts = _names(values.get("format", "csv"))
    if not {*parts} <= {"csv", "noheader", "nounits"} or "csv" not in parts:
        raise _Refused("unknown_format")
    return "noheader" not in parts, "nounits" not in parts


def _topology(chosen: Sequence[int], texts: Mapping[str, str]) -> str:
    text = "".join(f"\tGPU{index}" for index in chosen) + texts["topology_columns"]
    for index in chosen:
        links = "".join(f"\t{' X ' if other == index else 'PHB'}" for other in chosen)
        text += f"GPU{index}{links}{texts['topology_values']}"
    return text + texts["topology_foot"]
