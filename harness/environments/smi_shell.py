"""Writes ``nvidia-smi`` as a POSIX shell script that answers without starting another program.

An application asks before every plan, so the answer has to come in a few milliseconds: every
text is rendered beforehand and the script only chooses. Only the time needs ``date``.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path

from harness.environments import smi, smi_texts
from harness.environments.machine import SpoofedMachine
from harness.environments.smi_fields import card_answers

_NEWLINE = "\n"


def shell_script(
    machine: SpoofedMachine,
    *,
    unmasked: bool = False,
    no_driver: bool = False,
    waits_on: Path | None = None,
) -> str:
    """Return the script.

    Args:
        machine: The machine it speaks of.
        unmasked: Whether ``CUDA_VISIBLE_DEVICES`` hides nothing from it.
        no_driver: Whether it says that the driver cannot be reached.
        waits_on: A named pipe; the script never answers, and ends when somebody opens it to write.
    """
    if waits_on is not None:
        # Waiting on a pipe starts no process that could outlive the script.
        return f"#!/bin/sh\n: <{shlex.quote(str(waits_on))}\nexit 1\n"
    if no_driver:
        return f"#!/bin/sh\n{_print(smi.NO_DRIVER)}\nexit {smi.EXIT_NO_DRIVER}\n"
    return "\n".join(
        [
            "#!/bin/sh",
            *_refusals(),
            *_visibility(machine, unmasked=unmasked),
            *_fields(machine),
            *_apps(),
            *_arguments(),
            *_fixed(machine),
            *_selection(machine),
            *_csv(),
            *_whole_machine(machine),
            "",
        ]
    )


def _print(text: str) -> str:
    return f"printf %s {shlex.quote(text)}"


def _patterns(words: Iterable[str]) -> str:
    return "|".join(shlex.quote(word) for word in words)


def _refusals() -> list[str]:
    return [
        "refuse() { printf '%s\\n' \"$1\"; exit " + f"{smi.EXIT_INVALID_ARGUMENT}; }}",
        "unrecognized() {",
        "  printf 'ERROR: Option %s is not recognized. %s\\n\\n' \"$1\" "
        + shlex.quote(smi.USAGE_HINT),
        f"  exit {smi.EXIT_USAGE}",
        "}",
        f"nothing() {{ {_print(smi.NO_DEVICES)}; exit {smi.EXIT_NO_DEVICES}; }}",
        'unknown_field() { refuse "Field \\"$1\\" is not a valid field to query.',
        '"; }',
        f"hint={shlex.quote(smi.HELP_HINT)}",
        # Cuts spaces (of the kinds in $2) from both ends of $1.
        "trim() {",
        "  trimmed=$1",
        "  while :; do case $trimmed in [$2]*) trimmed=${trimmed#?};; *) break;; esac; done",
        "  while :; do case $trimmed in *[$2]) trimmed=${trimmed%?};; *) break;; esac; done",
        "}",
    ]


def _visibility(machine: SpoofedMachine, *, unmasked: bool) -> list[str]:
    visibility = '""' if unmasked else '"${CUDA_VISIBLE_DEVICES+set}"'
    everything = " ".join(str(index) for index in range(len(machine.cards)))
    uuids = " ".join(
        f"{index}:{shlex.quote(card.uuid)}" for index, card in enumerate(machine.cards)
    )
    return [
        f"all={shlex.quote(everything)}",
        "spaces=' \t\n\r\f\v'",
        "by_number() {",
        "  digits=${1#[+-]}; digits=${digits%%[!0-9]*}; found=",
        '  [ -n "$digits" ] || return 1',
        "  while :; do case $digits in 0?*) digits=${digits#0};; *) break;; esac; done",
        '  case $1 in -*) [ "$digits" = 0 ] || return 1;; esac',
        '  case " $all " in *" $digits "*) found=$digits;; *) return 1;; esac',
        "}",
        "by_uuid() {",
        "  found=",
        "  case $1 in GPU-*) ;; *) return 1;; esac",
        f"  for card in {uuids}; do",
        '    case ${card#*:} in "$1"*)',
        '      [ -z "$found" ] || return 1',
        "      found=${card%%:*};;",
        "    esac",
        "  done",
        '  [ -n "$found" ]',
        "}",
        f"if [ -z {visibility} ]; then seen=$all; else",
        "  seen=; rest=$CUDA_VISIBLE_DEVICES,",
        "  case $rest in GPU-*) find=by_uuid;; *) find=by_number;; esac",
        '  while [ -n "$rest" ]; do',
        '    trim "${rest%%,*}" "$spaces"; rest=${rest#*,}',
        '    $find "$trimmed" || break',
        '    case " $seen " in *" $found "*) seen=; break;; esac',
        '    seen="$seen $found"',
        "  done",
        "fi",
    ]


def _fields(machine: SpoofedMachine) -> list[str]:
    lines = ["field() {", '  case "$1:$2" in']
    for index in range(len(machine.cards)):
        spellings: dict[tuple[str, str, str], list[str]] = {}
        for name, answer in card_answers(machine, index).items():
            triple = (answer.column, answer.with_unit, answer.value)
            spellings.setdefault(triple, []).append(f"{index}:{name}")
        for (column, with_unit, value), names in spellings.items():
            full, plain = shlex.quote(with_unit), shlex.quote(value)
            lines.append(
                f"    {_patterns(names)}) column={shlex.quote(column)} full={full} plain={plain};;"
            )
    return [
        *lines,
        "    *:timestamp) stamp; column=timestamp full=$stamp plain=$stamp;;",
        "    *:count) column=count full=$count plain=$count;;",
        "    *) return 1;;",
        "  esac",
        "}",
        "stamp() {",
        "  [ -n \"$stamp\" ] || stamp=$(date '+%Y/%m/%d %H:%M:%S.000')",
        "}",
        "stamp=",
    ]


def _apps() -> list[str]:
    lines = ["app_field() {", "  case $1 in"]
    for name, column in smi.APP_FIELDS.items():
        lines.append(f"    {shlex.quote(name)}) column={shlex.quote(column)};;")
    return [*lines, "    *) return 1;;", "  esac", "}"]


def _arguments() -> list[str]:
    lines = [
        "while [ $# -gt 0 ]; do",
        "  argument=$1; option=${1%%=*}; shift",
        "  case $argument in",
    ]
    for switch, name in smi.SWITCHES.items():
        lines.append(f"    {switch}) {_variable(name)}=1; continue;;")
    lines += ["  esac", "  case $option in"]
    lines += [
        f"    {_patterns(smi.VALUED)}) ;;",
        '    *) unrecognized "$argument";;',
        "  esac",
        "  case $argument in",
        "    *=*) value=${argument#*=};;",
        "    *)",
        '      [ $# -gt 0 ] || refuse "ERROR: Option $option is missing its value. $hint"',
        "      value=$1; shift;;",
        "  esac",
        "  case $option in",
    ]
    for option, name in smi.VALUED.items():
        lines.append(f"    {option}) value_{name}=$value has_{name}=1;;")
    variables = [_variable(name) for name in dict.fromkeys(smi.SWITCHES.values())]
    has = [f"has_{name}" for name in dict.fromkeys(smi.VALUED.values())]
    cleared = " ".join(f"{variable}=" for variable in (*variables, *has))
    return [
        cleared,
        *lines,
        "  esac",
        "done",
        'if [ -n "$has_format" ] && [ -z "$has_gpu$has_apps" ]; then',
        '  unrecognized "--format=$value_format"',
        "fi",
    ]


def _variable(switch: str) -> str:
    return "want_" + switch.replace("-", "_")


def _fixed(machine: SpoofedMachine) -> list[str]:
    return [
        f'if [ -n "${_variable(name)}" ]; then {_print(text)}; exit 0; fi'
        for name, text in smi.fixed_texts(machine).items()
    ]


def _selection(machine: SpoofedMachine) -> list[str]:
    lines = [
        "matches() {",
        '  case "$1:$2" in',
    ]
    for index in range(len(machine.cards)):
        ids = (f"{index}:{name}" for name in smi.card_ids(machine, index))
        lines.append(f"    {_patterns(ids)}) ;;")
    return [
        *lines,
        "    *) return 1;;",
        "  esac",
        "}",
        f'if [ -n "$want_list" ] && [ -n "$has_id" ]; then {_print(smi.ID_WITH_LIST)}',
        f"  exit {smi.EXIT_INVALID_ARGUMENT}",
        "fi",
        "named=",
        'if [ -n "$has_id" ]; then',
        "  rest=$value_id,",
        '  while [ -n "$rest" ]; do',
        "    one=${rest%%,*}; rest=${rest#*,}; hit=",
        "    for index in $seen; do",
        '      if matches "$index" "$one"; then named="$named $index"; hit=1; fi',
        "    done",
        '    [ -n "$hit" ] || nothing',
        "  done",
        "else named=$seen; fi",
        "chosen=; count=0",
        "for index in $all; do",
        '  case " $named " in *" $index "*) chosen="$chosen $index"; count=$((count + 1));; esac',
        "done",
        '[ -n "$chosen" ] || nothing',
    ]


def _csv() -> list[str]:
    return [
        f"no_format() {{ {_print(smi.FORMAT_UNKNOWN)}; exit {smi.EXIT_INVALID_ARGUMENT}; }}",
        "formats() {",
        '  [ -n "$has_format" ] || value_format=csv',
        "  rest=$value_format, csv= header=1 units=1",
        '  while [ -n "$rest" ]; do',
        "    trim \"${rest%%,*}\" ' '; rest=${rest#*,}",
        "    case $trimmed in csv) csv=1;; noheader) header=;; nounits) units=;; '') ;;",
        "      *) no_format;;",
        "    esac",
        "  done",
        '  [ -n "$csv" ] || no_format',
        "}",
        'if [ -n "$has_gpu" ]; then',
        "  formats",
        "  rows=; columns=",
        "  for index in $chosen; do",
        "    rest=$value_gpu, row= columns=",
        '    while [ -n "$rest" ]; do',
        "      trim \"${rest%%,*}\" ' '; rest=${rest#*,}",
        '      [ -n "$trimmed" ] || continue',
        '      field "$index" "$trimmed" || unknown_field "$trimmed"',
        '      if [ -n "$units" ]; then plain=$full; fi',
        '      row="$row, $plain" columns="$columns, $column"',
        "    done",
        '    rows="$rows${row#, }',
        '"',
        "  done",
        '  if [ -n "$header" ]; then printf \'%s\\n\' "${columns#, }"; fi',
        '  printf %s "$rows"',
        "  exit 0",
        "fi",
        'if [ -n "$has_apps" ]; then',
        "  formats",
        "  rest=$value_apps, columns=",
        '  while [ -n "$rest" ]; do',
        "    trim \"${rest%%,*}\" ' '; rest=${rest#*,}",
        '    [ -n "$trimmed" ] || continue',
        '    app_field "$trimmed" || unknown_field "$trimmed"',
        '    columns="$columns, $column"',
        "  done",
        '  if [ -n "$header" ]; then printf \'%s\\n\' "${columns#, }"; fi',
        "  exit 0",
        "fi",
    ]


def _whole_machine(machine: SpoofedMachine) -> list[str]:
    cards = list(enumerate(machine.cards))
    label = smi_texts.label(machine, "Timestamp")
    attached = smi_texts.label(machine, "Attached GPUs")
    return [
        'if [ -n "$want_topo" ]; then',
        "  for index in $chosen; do printf '\\tGPU%s' \"$index\"; done",
        f"  {_print(smi.TOPOLOGY_HEAD + _NEWLINE)}",
        "  for index in $chosen; do",
        "    printf 'GPU%s' \"$index\"",
        "    for other in $chosen; do",
        "      if [ $other = $index ]; then printf '\\t X '; else printf '\\tPHB'; fi",
        "    done",
        f"    {_print(smi.TOPOLOGY_TAIL + _NEWLINE)}",
        "  done",
        f"  {_print(smi.TOPOLOGY_LEGEND)}",
        "  exit 0",
        "fi",
        'if [ -n "$want_list" ]; then',
        *_each(smi_texts.list_line(card, index) for index, card in cards),
        "  exit 0",
        "fi",
        "now=$(LC_ALL=C date '+%a %b %e %H:%M:%S %Y')",
        'if [ -n "$want_query" ] && [ -n "$want_xml" ]; then',
        f"  {_print(smi_texts.xml_head(machine))}",
        "  printf '\\t<timestamp>%s</timestamp>\\n' \"$now\"",
        f"  {_print(smi_texts.xml_versions(machine))}",
        "  printf '\\t<attached_gpus>%s</attached_gpus>\\n' \"$count\"",
        *_each(smi_texts.query_card_xml(machine, index) for index, _ in cards),
        f"  {_print(smi_texts.XML_FOOT)}",
        "  exit 0",
        "fi",
        'if [ -n "$want_query" ]; then',
        f"  printf '\\n==============NVSMI LOG==============\\n\\n{label}%s\\n' \"$now\"",
        f"  {_print(smi_texts.text_versions(machine))}",
        f"  printf '\\n{attached}%s\\n' \"$count\"",
        *_each(smi_texts.query_card_text(machine, index) for index, _ in cards),
        "  exit 0",
        "fi",
        "printf '%-31s\\n' \"$now\"",
        _print(smi_texts.table_head(machine)),
        *_each(smi_texts.table_card(card, index) for index, card in cards),
        _print(smi_texts.table_foot(machine)),
    ]


def _each(texts: Iterable[str]) -> list[str]:
    branches = [f"    {index}) {_print(text)};;" for index, text in enumerate(texts)]
    return ["  for index in $chosen; do case $index in", *branches, "  esac; done"]
