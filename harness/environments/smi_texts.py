"""Renders what ``nvidia-smi`` says of a machine from the templates of ``resources/smi.toml``."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources

import msgspec

from harness.environments.machine import SpoofedMachine

DYNAMIC_FIELDS = ("timestamp", "count")
"""Fields of ``--query-gpu`` that depend on the moment and on the visible cards."""

FIXED_TEXTS = ("help", "version", "fields")
"""Texts that answer a switch whatever cards there are; the first whose switch is given wins."""

_SINCE_580 = 580
_TABLE_WIDTH = 87
_INDENT = "    "
_ABSENT = "N/A"
_SWITCH = {True: "Enabled", False: "Disabled"}
_ON = {True: "On", False: "Off"}
_NO_VALUE = re.compile(rf"{_ABSENT}|Requested functionality .*")
"""What stands in brackets where fields are queried."""


class Tables(msgspec.Struct, frozen=True, kw_only=True):
    """The tables of ``resources/smi.toml``, which says what each holds."""

    switches: Mapping[str, str]
    valued: Mapping[str, str]
    refusals: Mapping[str, tuple[int, str]]
    texts: Mapping[str, str]
    card_texts: Mapping[str, str]
    layouts: Mapping[str, Mapping[str, str]]
    kinds: Mapping[str, Mapping[str, str]]
    fields: Mapping[str, Mapping[str, str]]
    aliases: Mapping[str, str]
    app_fields: Mapping[str, str]


@cache
def tables() -> Tables:
    """Return the tables."""
    file = resources.files("harness.environments") / "resources" / "smi.toml"
    return msgspec.toml.decode(file.read_bytes(), type=Tables)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One field of one card.

    Attributes:
        column: The csv header: the unit is named even where ``nounits`` drops it from the values.
        with_unit: The csv value as it stands without ``nounits``.
        value: The number or text without its unit.
    """

    column: str
    with_unit: str
    value: str


def refusal(name: str, subject: str = "") -> tuple[int, str]:
    """Return the exit code of an error and its text, which may name what it is about."""
    code, template = tables().refusals[name]
    return code, template.format(subject=subject)


def card_answers(machine: SpoofedMachine, index: int) -> dict[str, Answer]:
    """Return every field of a card that never changes, under all its spellings."""
    answers = {}
    for name, unit, value in _fields(_facts(machine, index)):
        column = f"{name} [{unit}]" if unit else name
        if _NO_VALUE.fullmatch(value):
            answers[name] = Answer(column=column, with_unit=f"[{value}]", value=f"[{value}]")
        else:
            full = _with_unit(value, unit)
            answers[name] = Answer(column=column, with_unit=full, value=value)
    return answers | {alias: answers[name] for alias, name in tables().aliases.items()}


def machine_texts(machine: SpoofedMachine, *, now: str, count: str) -> dict[str, str]:
    """Return the texts about the whole machine.

    Args:
        machine: The machine.
        now: The time as ``-q`` and the table show it.
        count: How many cards are looked at.
    """
    driver, cuda = machine.driver_version, machine.cuda_version
    versions = f"NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} CUDA Version: {cuda:<8}"
    names = sorted({*card_answers(machine, 0), *DYNAMIC_FIELDS})
    facts = {
        **_layout(machine),
        "machine": machine,
        "now": now,
        "count": count,
        "versions": versions[:_TABLE_WIDTH],
        "short_version": ".".join(driver.split(".")[:2]),
        "field_names": "".join(f'"{name}"\n\n' for name in names),
    }
    templates = dict(tables().texts)
    templates["query_head"] = _aligned(templates["query_head"], machine)
    return {name: template.format_map(facts) for name, template in templates.items()}


def card_texts(machine: SpoofedMachine, index: int) -> dict[str, str]:
    """Return the texts about one card: of the list, the table, ``-q`` and ``-q -x``."""
    facts = _facts(machine, index)
    for name, unit, value in list(_fields(facts)):
        facts[name.replace(".", "_")] = _with_unit(value, unit)
    texts = tables().card_texts
    tags, labels = zip(*map(_tag_and_label, texts["query"].splitlines()), strict=True)
    query = "GPU {card.pci_bus_id}\n" + _aligned("\n".join(labels), machine) + "\n\n"
    return {
        "list": texts["list"].format_map(facts),
        "table": texts["table"].format_map(facts),
        "query": query.format_map(facts),
        "xml": "".join(_xml(tags, labels, facts)),
    }


def _layout(machine: SpoofedMachine) -> Mapping[str, str]:
    major = machine.driver_version.partition(".")[0]
    recent = major.isdecimal() and int(major) >= _SINCE_580
    return tables().layouts["580" if recent else "550"]


def _facts(machine: SpoofedMachine, index: int) -> dict[str, object]:
    card = machine.cards[index]
    domain, bus, slot = card.pci_bus_id.split(":")
    # The window onto the card's memory, all of it for cards of a data centre.
    bar1_mib = 1 << (card.memory_total_mib - 1).bit_length() if card.ecc else 256
    facts: dict[str, object] = {
        "machine": machine,
        "card": card,
        "index": index,
        "domain": int(domain, 16),
        "bus": bus,
        "device": slot.split(".")[0],
        "serial": card.serial or _ABSENT,
        "display": _SWITCH[card.display_active],
        "persistence": _SWITCH[card.persistence_mode],
        "mig": "Disabled" if card.mig else _ABSENT,
        "fan": "0" if card.fan else _ABSENT,
        "min_limit_w": card.power_limit_w / 3,
        "bar1_mib": bar1_mib,
        "bar1_free_mib": bar1_mib - 1,
        "table_display": _ON[card.display_active],
        "table_persistence": _ON[card.persistence_mode],
        "table_fan": " 0%" if card.fan else _ABSENT,
        "table_power": f"{card.idle_power_w:.0f}W / {card.power_limit_w:>4.0f}W",
        "table_memory": f"{card.memory_used_mib}MiB / {card.memory_total_mib:>6}MiB",
    }
    kind = tables().kinds["data_center" if card.ecc else "consumer"]
    for name, template in {**_layout(machine), **kind}.items():
        facts[name] = template.format_map(facts)
    return facts


def _fields(facts: Mapping[str, object]) -> Iterator[tuple[str, str, str]]:
    """Give each field's name, unit and value."""
    for unit, fields in tables().fields.items():
        for name, template in fields.items():
            yield name, "" if unit == "plain" else unit, template.format_map(facts)


def _with_unit(value: str, unit: str) -> str:
    return f"{value} {unit}" if unit and value != _ABSENT else value


def _tag_and_label(line: str) -> tuple[str, str]:
    """Split a line of the template of ``-q`` into the tag, and the label at the same depth."""
    tag, label = line.split(maxsplit=1)
    depth = (len(line) - len(line.lstrip())) // len(_INDENT)
    return tag, f"{_INDENT * (depth + 1)}{label}"


def _aligned(template: str, machine: SpoofedMachine) -> str:
    """Put the values of ``LABEL: VALUE`` lines below each other."""
    width = int(_layout(machine)["label_width"])
    parts = (line.partition(": ") for line in template.split("\n"))
    return "\n".join(
        f"{label:<{width}}{colon}{value}" if colon else label for label, colon, value in parts
    )


def _xml(tags: Sequence[str], labels: Sequence[str], facts: Mapping[str, object]) -> Iterator[str]:
    opened = ["gpu"]
    yield '\t<gpu id="{card.pci_bus_id}">\n'.format_map(facts)
    for tag, label in zip(tags, labels, strict=True):
        depth = label.count(_INDENT)
        while len(opened) > depth:
            yield "\t" * len(opened) + f"</{opened.pop()}>\n"
        margin = "\t" * (depth + 1)
        _, colon, template = label.partition(": ")
        if colon:
            value = "" if tag == "processes" else template.format_map(facts).removeprefix("0x")
            yield f"{margin}<{tag}>{escape(value, quote=False)}</{tag}>\n"
        else:
            yield f"{margin}<{tag}>\n"
            opened.append(tag)
    yield "\t</gpu>\n"
