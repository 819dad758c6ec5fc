"""Dockerfiles: ENTRYPOINT, CMD and ENV of the last stage."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from harness.formats.command_line import AddVariables, Fault, PlacedLine, Variable
from harness.formats.containers import Kind, container, kind_of_image
from harness.formats.document import Contents, Document
from harness.formats.interpolation import interpolated
from harness.formats.json_nodes import read_json
from harness.formats.naming import numbered
from harness.formats.nodes import ListNode, Scalar
from harness.formats.places import Edit, OwnLine, Row, VariablePlace, Word, assignment_at
from harness.formats.shell import commands
from harness.formats.traced import Traced, unbroken
from harness.formats.units import around
from harness.formats.words import Rules, assignment, no_reference, quoted, stands, words_of

LOOKED_FOR: Final = "a Dockerfile (FROM, ENTRYPOINT, CMD)"

_FROM: Final = re.compile(r"(?im)^[ \t]*FROM[ \t]+\S+")
_INSTRUCTION: Final = re.compile(r"[ \t]*([A-Za-z]+)[ \t]+")
_HEREDOC: Final = re.compile(r"<<-?[\"']?(\w+)[\"']?")


def _assigned(word: str) -> str:
    name, _, value = word.partition("=")
    return f"{name}={no_reference(quoted(value), chr(92) + '$')}"


_ENV: Final = Rules(quote=_assigned)


def recognises(document: Document) -> bool:
    """Whether it begins a stage and has something to start, or variables."""
    return bool(
        _FROM.search(document.text)
        and re.search(r"(?im)^[ \t]*(CMD|ENTRYPOINT|ENV|RUN|COPY)\b", document.text)
        and re.match(r"(?i)(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t]*(ARG|FROM)\s", document.text)
    )


@dataclass(frozen=True)
class _Command:
    """What CMD or ENTRYPOINT says: a list of words, or a text for a shell."""

    words: list[Word] | None
    text: Traced
    row: Row | None = None


@dataclass
class _Stage:
    """One stage of a build as it is at its end."""

    image: str = ""
    env: dict[str, Variable] = field(default_factory=dict)
    entrypoint: _Command | None = None
    cmd: _Command | None = None
    begin: int | None = None


def read(document: Document) -> Contents:
    """The command line that the built image starts."""
    stages, stage, arguments = dict[str, _Stage](), _Stage(), dict[str, str]()
    try:
        for name, value, begin in _instructions(document):
            match name:
                case "FROM":
                    stage = _begun(value.text, stages, arguments)
                case "ARG":
                    variable, _, default = value.text.strip().partition("=")
                    arguments.setdefault(variable, default.strip("'\""))
                case "ENV":
                    _set(stage, value, document, arguments)
                    stage.begin = begin if stage.begin is None else stage.begin
                case "CMD" | "ENTRYPOINT":
                    command = _command(value, document)
                    if name == "CMD":
                        stage.cmd = command
                    else:
                        stage.entrypoint, stage.cmd = command, None
                    stage.begin = begin
    except ValueError as error:
        document.refuse(str(error))
    lines = _started(stage, document)
    if not lines:
        document.refuse("its last stage starts no llama-server")
    return Contents(lines=numbered(lines), unread={})


def _begun(text: str, stages: dict[str, _Stage], arguments: Mapping[str, str]) -> _Stage:
    words = [word for word in text.split() if not word.startswith("--")]
    image = interpolated(Traced.made(words[0] if words else ""), arguments.get).text
    base = stages.get(image.lower())
    stage = replace(base, env=dict(base.env)) if base else _Stage(image=image)
    if len(words) > len(("image", "as")) and words[1].lower() == "as":
        stages[words[2].lower()] = stage
    return stage


def _set(stage: _Stage, value: Traced, document: Document, arguments: Mapping[str, str]) -> None:
    first = re.match(r"\s*([A-Za-z_]\w*)(\s+|=)", value.text)
    known = {**arguments, **{n: v.value for n, v in stage.env.items() if v.value is not None}}
    if first and "=" not in first[2]:  # the old form: one variable, the rest of the line
        text = interpolated(value[first.end() :], known.get).text.strip()
        stage.env[first[1]] = Variable(value=None if stands(text) else text)
        return
    words, _ = words_of(value, document.file, _ENV)
    for word in words:
        if assigned := assignment(word):
            text = interpolated(assigned[1], known.get).text
            place: VariablePlace | None = assignment_at(word.place)
            if len(words) == 1 and word.place:
                place = OwnLine(word.place, document.file)
            stage.env[assigned[0]] = Variable(value=None if stands(text) else text, place=place)


def _command(value: Traced, document: Document) -> _Command:
    if value.text.strip().startswith("["):
        try:
            node = read_json(value, document.file)
        except ValueError:
            node = None
        if isinstance(node, ListNode) and all(
            isinstance(item, Scalar) and item.is_text for item in node.items
        ):
            return _Command(node.words(), value, node.row)
    return _Command(None, value)


def _started(stage: _Stage, document: Document) -> list[PlacedLine]:
    entrypoint, cmd = stage.entrypoint, stage.cmd
    add = _lines_before(stage.begin)
    if entrypoint is not None and entrypoint.words is None:
        lines = commands(document.within(entrypoint.text), stage.env)
        return [replace(line, add=add) for line in lines]
    own = entrypoint.words if entrypoint else None
    if cmd is not None and cmd.words is None:
        if own is None and kind_of_image(stage.image) is not Kind.SERVER:
            lines = commands(document.within(cmd.text), stage.env)
            return [replace(line, add=add) for line in lines]
        return [
            replace(line, words=(), row=None, add=add, fault=_no_list(cmd, own))
            for line in _in_container(stage, own, [], document, add)
        ]
    words = cmd.words if cmd and cmd.words else []
    lines = _in_container(stage, own, words, document, add)
    row = cmd.row if cmd else None
    return [replace(line, row=line.row or row) for line in lines]


def _no_list(cmd: _Command, entrypoint: Sequence[Word] | None) -> Fault:
    text = " ".join(cmd.text.text.split())
    what = " ".join(map(str, entrypoint)) if entrypoint else "the image's llama-server"
    reads = "is no JSON list (look for a comma that is missing)" if "[" in text[:1] else "is text"
    return Fault(
        word="CMD",
        why=f"CMD {reads}, so {what} is handed /bin/sh -c {text[:80]!r} as its arguments",
        words=("/bin/sh", "-c", text),
    )


def _in_container(
    stage: _Stage,
    entrypoint: Sequence[Word] | None,
    words: Sequence[Word],
    document: Document,
    add: AddVariables | None,
) -> list[PlacedLine]:
    return container(
        image=stage.image,
        entrypoint=entrypoint,
        command=words,
        env=stage.env,
        around=around(document),
        add=add,
    )


def _lines_before(begin: int | None) -> AddVariables | None:
    if begin is None:
        return None
    return lambda pairs: [
        Edit(begin, begin, "".join(f"ENV {_assigned(f'{n}={v}')}\n" for n, v in pairs))
    ]


def _instructions(document: Document) -> Iterator[tuple[str, Traced, int | None]]:
    """The instructions, each on one line, and where it begins."""
    directive = re.match(r"(?i)\s*#\s*escape\s*=\s*(\S)", document.text)
    lines = (one for one in document.source.lines() if re.match(r"\s*[^\s#]", one.text))
    heredoc = ""
    for line in unbroken(lines, directive[1] if directive else "\\"):
        text = line.text.rstrip()
        if heredoc:
            heredoc = "" if text.strip() == heredoc else heredoc
        elif match := _INSTRUCTION.match(text):
            name, found = match[1].upper(), _HEREDOC.search(text)
            heredoc = found[1] if found and name in {"RUN", "COPY"} else ""
            yield name, line[match.end() : len(text)], line.begin()
