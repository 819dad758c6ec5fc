"""Writes ``nvidia-smi`` as a POSIX shell script that answers without starting another program.

An application asks before every plan, so the answer has to come in a few milliseconds: every
text is rendered beforehand and the script (``resources/smi.sh``) only chooses.
"""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from harness.environments.machine import SpoofedMachine
from harness.environments.smi_texts import (
    FIXED_TEXTS,
    card_answers,
    card_texts,
    machine_texts,
    refusal,
    tables,
)
from harness.environments.visibility import SPACE


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
        return f"#!/bin/sh\n{_refuse('no_driver')}\n"
    everything = " ".join(str(index) for index in range(len(machine.cards)))
    texts = machine_texts(machine, now="@now@", count="@count@")
    program = resources.files("harness.environments") / "resources" / "smi.sh"
    # A shell reads a script as far as it runs it: what reports say stands behind the csv queries.
    queries, mark, reports = program.read_text(encoding="utf-8").partition("# --- Reports.\n")
    return "\n".join(
        [
            "#!/bin/sh",
            f"all={shlex.quote(everything)} unmasked={'1' if unmasked else ''}",
            f"spaces={shlex.quote(SPACE)}",
            *_arguments(),
            *_function("card_field", '"$1:$2"', _fields(machine)),
            *_function("app_field", "$1", _columns()),
            *_function("refuse", "$1", ((name, _refuse(name)) for name in tables().refusals)),
            *_function("answer", "$1", ((name, _print(texts.pop(name))) for name in FIXED_TEXTS)),
            queries + mark,
            *_function("say", "$1", _texts(machine, texts)),
            reports,
        ]
    )


def _function(name: str, subject: str, branches: Iterable[tuple[str, str]]) -> list[str]:
    """A function that does what stands beside the pattern of its subject, or returns 1."""
    lines = [f"    {pattern}) {action};;" for pattern, action in branches]
    return [f"{name}() {{", f"  case {subject} in", *lines, "    *) return 1;;", "  esac", "}"]


def _arguments() -> list[str]:
    switches, valued = tables().switches, tables().valued
    variables = [
        *(f"want_{name}=" for name in switches.values()),
        *(f"has_{name}=" for name in valued.values()),
    ]
    return [
        " ".join(dict.fromkeys(variables)),
        *_function("switch", "$1", ((word, f"want_{name}=1") for word, name in switches.items())),
        *_function(
            "valued",
            "$1",
            ((word, f"value_{name}=$2 has_{name}=1") for word, name in valued.items()),
        ),
    ]


def _fields(machine: SpoofedMachine) -> Iterator[tuple[str, str]]:
    for index in range(len(machine.cards)):
        spellings: dict[str, list[str]] = {}
        for name, answer in card_answers(machine, index).items():
            column, full, plain = map(shlex.quote, (answer.column, answer.with_unit, answer.value))
            action = f"column={column} full={full} plain={plain}"
            spellings.setdefault(action, []).append(f"{index}:{name}")
        yield from (("|".join(names), action) for action, names in spellings.items())


def _columns() -> Iterator[tuple[str, str]]:
    for name, column in tables().app_fields.items():
        yield name, f"column={shlex.quote(column)}"


def _texts(machine: SpoofedMachine, texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, text in texts.items():
        yield name, _print(text)
    for index in range(len(machine.cards)):
        for name, text in card_texts(machine, index).items():
            yield f"{name}:{index}", _print(text)


def _refuse(name: str) -> str:
    code, text = refusal(name, "@2@")
    return f"{_print(text)}; exit {code}"


def _print(text: str) -> str:
    """A command that prints a text, the variables between ``@`` filled in."""
    return "printf %s " + re.sub(r"@(now|count|2)@", r"""'"$\1"'""", shlex.quote(text))
