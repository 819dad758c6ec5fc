"""What ``nvidia-smi`` answers to a command line, on a spoofed machine.

:func:`answer` states it; :mod:`harness.environments.smi_shell` writes the same as a shell script,
and a property test holds the two together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from harness.environments.machine import SpoofedMachine
from harness.environments.smi_fields import card_answers
from harness.environments.smi_texts import (
    XML_FOOT,
    label,
    list_line,
    query_card_text,
    query_card_xml,
    table_card,
    table_foot,
    table_head,
    text_versions,
    xml_head,
    xml_versions,
)
from harness.environments.visibility import visible_indices

NO_DEVICES = "No devices were found\n"
NO_DRIVER = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. "
    "Make sure that the latest NVIDIA driver is installed and running.\n\n"
)
HELP_HINT = "Please run 'nvidia-smi -h' for help."
USAGE_HINT = "Please run 'nvidia-smi -h'."
FORMAT_UNKNOWN = "Format modifier is not recognized.\n"
ID_WITH_LIST = f"ERROR: Option -i is not valid for this command. {HELP_HINT}\n\n"

TOPOLOGY_HEAD = "\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID"
TOPOLOGY_TAIL = "\t0\t0\t\tN/A"
TOPOLOGY_LEGEND = (
    "\nLegend:\n\n  X    = Self\n"
    "  PHB  = Connection traversing PCIe as well as a PCIe Host Bridge (typically the CPU)\n"
)

EXIT_INVALID_ARGUMENT = 2
EXIT_NO_DEVICES = 6
EXIT_NO_DRIVER = 9
EXIT_USAGE = 255

SWITCHES: Mapping[str, str] = {
    "-h": "help",
    "--help": "help",
    "--version": "version",
    "-L": "list",
    "--list-gpus": "list",
    "-q": "query",
    "--query": "query",
    "-x": "xml",
    "--xml-format": "xml",
    "--help-query-gpu": "help-query-gpu",
    "topo": "topo",
    "-m": "matrix",
}
"""Options without a value."""

VALUED: Mapping[str, str] = {
    "-i": "id",
    "--id": "id",
    "-d": "display",
    "--display": "display",
    "--format": "format",
    "--query-gpu": "gpu",
    "--query-compute-apps": "apps",
    "--query-accounted-apps": "apps",
}
"""Options whose value follows as the next argument or after ``=``."""

APP_FIELDS: Mapping[str, str] = {
    "timestamp": "timestamp",
    "gpu_name": "gpu_name",
    "gpu_bus_id": "gpu_bus_id",
    "gpu_serial": "gpu_serial",
    "gpu_uuid": "gpu_uuid",
    "pid": "pid",
    "process_name": "process_name",
    "name": "process_name",
    "used_gpu_memory": "used_gpu_memory [MiB]",
    "used_memory": "used_gpu_memory [MiB]",
}
"""Columns of the process queries, which have no rows: nothing runs on a card that is not there."""

DYNAMIC_FIELDS = ("timestamp", "count")
"""Fields of ``--query-gpu`` that depend on the moment and on the visible cards."""


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
        return SmiAnswer(output=NO_DRIVER, exit_code=EXIT_NO_DRIVER)
    try:
        switches, values = _parse(arguments)
        return SmiAnswer(output=_print(machine, switches, values, visible, now))
    except _Refused as refused:
        return SmiAnswer(output=refused.output, exit_code=refused.exit_code)


class _Refused(Exception):  # noqa: N818 - it carries an answer, not an error of ours
    def __init__(self, output: str, exit_code: int = EXIT_INVALID_ARGUMENT) -> None:
        super().__init__(output)
        self.output = output
        self.exit_code = exit_code


def _parse(arguments: Sequence[str]) -> tuple[set[str], dict[str, str]]:
    switches: set[str] = set()
    values: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        option, equals, value = argument.partition("=")
        if argument in SWITCHES:
            switches.add(SWITCHES[argument])
        elif option in VALUED:
            if not equals:
                if not rest:
                    raise _Refused(f"ERROR: Option {option} is missing its value. {HELP_HINT}\n")
                value = rest.pop(0)
            values[VALUED[option]] = value
        else:
            raise _unrecognized(argument)
    if "format" in values and not {"gpu", "apps"} & values.keys():
        raise _unrecognized(f"--format={values['format']}")
    return switches, values


def _unrecognized(option: str) -> _Refused:
    return _Refused(f"ERROR: Option {option} is not recognized. {USAGE_HINT}\n\n", EXIT_USAGE)


def _print(
    machine: SpoofedMachine,
    switches: set[str],
    values: Mapping[str, str],
    visible: str | None,
    now: datetime,
) -> str:
    for switch, text in fixed_texts(machine).items():
        if switch in switches:
            return text
    if "list" in switches and "id" in values:
        raise _Refused(ID_WITH_LIST)
    chosen = _chosen(machine, values.get("id"), visible)
    if "gpu" in values:
        return _csv(machine, chosen, values, now)
    if "apps" in values:
        return _csv_apps(values)
    return _report(machine, switches, chosen, now)


def _report(
    machine: SpoofedMachine, switches: set[str], chosen: Sequence[int], now: datetime
) -> str:
    if "topo" in switches:
        return _topology(chosen)
    if "list" in switches:
        return "".join(list_line(machine.cards[index], index) for index in chosen)
    if "query" in switches:
        return _query(machine, chosen, now, xml="xml" in switches)
    cards = (table_card(machine.cards[index], index) for index in chosen)
    return f"{table_time(now)}{table_head(machine)}{''.join(cards)}{table_foot(machine)}"


def fixed_texts(machine: SpoofedMachine) -> Mapping[str, str]:
    """Return the answers that depend on no card, by switch, the first that is given wins."""
    fields = sorted({*card_answers(machine, 0), *DYNAMIC_FIELDS})
    listed = "".join(f'"{field}"\n\n' for field in fields)
    short = ".".join(machine.driver_version.split(".")[:2])
    return {
        "help": (
            f"NVIDIA System Management Interface -- v{machine.driver_version}\n\n"
            "nvidia-smi [OPTION1 [ARG1]] [OPTION2 [ARG2]] ...\n\n"
            "    -h,   --help                Print usage information and exit.\n"
            "          --version             Print version information and exit.\n"
            "    -L,   --list-gpus           Display a list of GPUs connected to the system.\n"
            "    -q,   --query               Display GPU or Unit info.\n"
            "    -x,   --xml-format          Produce XML output.\n"
            "    -i,   --id=                 Target a specific GPU or Unit.\n"
            "          --query-gpu=          Information about GPU.\n"
            "          --query-compute-apps= List of currently active compute processes.\n"
            "          --format=             csv, noheader, nounits\n"
        ),
        "version": (
            f"NVIDIA-SMI version  : {machine.driver_version}\n"
            f"NVML version        : {short}\n"
            f"DRIVER version      : {machine.driver_version}\n"
            f"CUDA Version        : {machine.cuda_version}\n"
        ),
        "help-query-gpu": (
            f'List of valid properties to query for the switch "--query-gpu":\n\n{listed}'
        ),
    }


def card_ids(machine: SpoofedMachine, index: int) -> tuple[str, ...]:
    """Return the names by which ``-i`` selects a card."""
    card = machine.cards[index]
    bus_id = card.pci_bus_id
    return (str(index), card.uuid, bus_id, bus_id[4:], bus_id.partition(":")[2])


def _chosen(machine: SpoofedMachine, wanted: str | None, visible: str | None) -> list[int]:
    uuids = [card.uuid for card in machine.cards]
    chosen = sorted(visible_indices(visible, uuids))
    if wanted is not None:
        named = set()
        for name in wanted.split(","):
            matches = [index for index in chosen if name in card_ids(machine, index)]
            if not matches:
                raise _Refused(NO_DEVICES, EXIT_NO_DEVICES)
            named.update(matches)
        chosen = sorted(named)
    if not chosen:
        raise _Refused(NO_DEVICES, EXIT_NO_DEVICES)
    return chosen


def _csv(
    machine: SpoofedMachine, chosen: Sequence[int], values: Mapping[str, str], now: datetime
) -> str:
    header, units = _format(values)
    rows: list[str] = []
    names = _names(values["gpu"])
    for index in chosen:
        answers = card_answers(machine, index)
        columns: list[str] = []
        cells: list[str] = []
        for name in names:
            if name == "timestamp":
                columns.append(name)
                cells.append(csv_time(now))
            elif name == "count":
                columns.append(name)
                cells.append(str(len(chosen)))
            elif name in answers:
                columns.append(answers[name].column)
                cells.append(answers[name].with_unit if units else answers[name].value)
            else:
                raise _Refused(f'Field "{name}" is not a valid field to query.\n\n')
        if header and not rows:
            rows.append(", ".join(columns))
        rows.append(", ".join(cells))
    return "".join(f"{row}\n" for row in rows)


def _csv_apps(values: Mapping[str, str]) -> str:
    header, _ = _format(values)
    names = _names(values["apps"])
    for name in names:
        if name not in APP_FIELDS:
            raise _Refused(f'Field "{name}" is not a valid field to query.\n\n')
    return ", ".join(APP_FIELDS[name] for name in names) + "\n" if header else ""


def _names(listed: str) -> list[str]:
    """Return the entries of a list; empty ones are passed over, as after a trailing comma."""
    return [name for each in listed.split(",") if (name := each.strip(" "))]


def _format(values: Mapping[str, str]) -> tuple[bool, bool]:
    parts = _names(values.get("format", "csv"))
    if not {*parts} <= {"csv", "noheader", "nounits"} or "csv" not in parts:
        raise _Refused(FORMAT_UNKNOWN)
    return "noheader" not in parts, "nounits" not in parts


def _query(machine: SpoofedMachine, chosen: Sequence[int], now: datetime, *, xml: bool) -> str:
    if xml:
        return (
            f"{xml_head(machine)}\t<timestamp>{log_time(now)}</timestamp>\n{xml_versions(machine)}"
            f"\t<attached_gpus>{len(chosen)}</attached_gpus>\n"
            f"{''.join(query_card_xml(machine, index) for index in chosen)}{XML_FOOT}"
        )
    return (
        f"\n==============NVSMI LOG==============\n\n{label(machine, 'Timestamp')}{log_time(now)}\n"
        f"{text_versions(machine)}\n{label(machine, 'Attached GPUs')}{len(chosen)}\n"
        f"{''.join(query_card_text(machine, index) for index in chosen)}"
    )


def _topology(chosen: Sequence[int]) -> str:
    head = "".join(f"\tGPU{index}" for index in chosen)
    rows = [f"{head}{TOPOLOGY_HEAD}"]
    for index in chosen:
        links = "".join(f"\t{' X ' if other == index else 'PHB'}" for other in chosen)
        rows.append(f"GPU{index}{links}{TOPOLOGY_TAIL}")
    return "".join(f"{row}\n" for row in rows) + TOPOLOGY_LEGEND


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def log_time(now: datetime) -> str:
    """Return the time as ``-q`` and the table show it, in English whatever the locale."""
    return f"{_DAYS[now.weekday()]} {_MONTHS[now.month - 1]} {now.day:>2} {now:%H:%M:%S} {now.year}"


def table_time(now: datetime) -> str:
    """Return the line above the table."""
    return f"{log_time(now):<31}\n"


def csv_time(now: datetime) -> str:
    """Return the ``timestamp`` field; the spoof does not tell milliseconds."""
    return f"{now:%Y/%m/%d %H:%M:%S}.000"
