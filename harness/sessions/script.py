"""Scripts: the steps of a session as text, one command line each.

# auto resolved to MTP at 8, then 2 must reload
load --mode auto --draft-max 8
load --mode auto --draft-max 2
kill
load --mode "mtp, ngram" --extra-arg=--no-mmap
unload
"""

import argparse
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, NoReturn

from harness.cells.names import DEFAULT_MODEL
from harness.errors import UsageError
from harness.model import MODE_UNSET, LoadRequest

SUFFIX: Final = ".session"
LENGTH_DEFAULT: Final = "default"

_DEFAULTS: Final = LoadRequest(model=DEFAULT_MODEL, mode=None)


class Interruption(StrEnum):
    """What ends a session's server, other than a load."""

    UNLOAD = "unload"
    KILL = "kill"
    """From outside: the application does not know."""


@dataclass(frozen=True, kw_only=True)
class Load:
    """A load request."""

    request: LoadRequest


Step = Load | Interruption


def read_script(path: Path) -> tuple[Step, ...]:
    """The steps of a file.

    Raises:
        UsageError: It cannot be read, or a line is no step; the message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"{path}: cannot be read: {reason}") from error
    return parse_script(text, str(path))


def parse_script(text: str, name: str) -> tuple[Step, ...]:
    """The steps of a text; ``name`` is what messages call it.

    Raises:
        UsageError: A line is no step, or there is none.
    """
    steps: list[Step] = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{name}:{number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise UsageError(f"{where}: {error}") from error
        if words:
            steps.append(_step(words, where))
    if not steps:
        raise UsageError(f"{name}: holds no step; write load, unload or kill on a line each")
    return tuple(steps)


def format_script(steps: Iterable[Step], comments: Sequence[str] = ()) -> str:
    """The text that ``parse_script`` reads back as the same steps."""
    lines = [*(f"# {comment}" for comment in comments), *(format_step(step) for step in steps)]
    return "".join(f"{line}\n" for line in lines)


def format_step(step: Step) -> str:
    """One line; what has its default value is left out, but for mode and draft length."""
    if isinstance(step, Interruption):
        return step.value
    request = step.request
    words = ["load", "--mode", request.spelling]
    length = LENGTH_DEFAULT if request.draft_n_max is None else str(request.draft_n_max)
    words += ["--draft-max", length]
    if request.model != _DEFAULTS.model:
        words += ["--model", request.model]
    if request.context_length != _DEFAULTS.context_length:
        words += ["--context", str(request.context_length)]
    if request.cache_type is not None:
        words += ["--cache-type", request.cache_type]
    if request.chat_template is not None:
        words += ["--chat-template", request.chat_template]
    words += [f"--extra-arg={word}" for word in request.extra_args]
    return shlex.join(words)


def _step(words: Sequence[str], where: str) -> Step:
    command, *rest = words
    if command == "load":
        return Load(request=_request(rest, where))
    try:
        step = Interruption(command)
    except ValueError:
        raise UsageError(f"{where}: {command!r} is no step; write load, unload or kill") from None
    if rest:
        raise UsageError(f"{where}: {command} takes no options, got {' '.join(rest)}")
    return step


class _LineParser(argparse.ArgumentParser):
    """Options of one line; an error is raised with the line's place."""

    def __init__(self, where: str) -> None:
        super().__init__(prog="load", add_help=False, allow_abbrev=False)
        self._where = where

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self._where}: {message}")


def _request(words: Sequence[str], where: str) -> LoadRequest:
    parser = _LineParser(where)
    parser.add_argument("--model", default=_DEFAULTS.model)
    parser.add_argument("--mode", default=MODE_UNSET)
    parser.add_argument("--draft-max", type=_length, default=None)
    parser.add_argument("--context", type=int, default=_DEFAULTS.context_length)
    parser.add_argument("--cache-type", default=None)
    parser.add_argument("--chat-template", default=None)
    parser.add_argument("--extra-arg", action="append", default=[])
    options = parser.parse_args(list(words))
    return LoadRequest(
        model=options.model,
        mode=None if options.mode == MODE_UNSET else options.mode,
        draft_n_max=options.draft_max,
        extra_args=tuple(options.extra_arg),
        context_length=options.context,
        cache_type=options.cache_type,
        chat_template=options.chat_template,
    )


def _length(word: str) -> int | None:
    return None if word == LENGTH_DEFAULT else int(word)


_length.__name__ = "number of tokens or default"
