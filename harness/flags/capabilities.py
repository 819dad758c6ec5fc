"""``--help`` text to ``Capabilities``: what a build says it accepts.

A capability is an option of the text, never a flag that another option's description mentions.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Final

from harness.errors import ProbeError
from harness.model import Flavour
from harness.processes.running import ask_server

MTP_TOKENS: Final = ("draft-mtp", "mtp")
"""Upstream's token (ggml-org/llama.cpp PR 22673), then the one of branches and forks before it."""

_STUB: Final = "the argument has been removed"
"""How the description of a removed argument starts (since b8955)."""

_FLAG: Final = re.compile(r"-{1,2}[A-Za-z][\w.\-]*(?:\(s\))?")
_HEAD: Final = re.compile(rf" {{0,12}}{_FLAG.pattern}")
_ENVIRONMENT: Final = re.compile(r"\(env: (\w+)\)")
_DEFAULT: Final = re.compile(
    r"""\bdefault: *('[^']*'|"[^"]*"|[^()]*?)(?=\)|[,;] |\. | \(|$)""",
)
_BULLET: Final = re.compile(r"- ([\w+\-]+)(?: \(default\))?:")
_WORD: Final = re.compile(r"[a-z0-9][\w+\-]*")


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a help text.

    Attributes:
        spellings: All flags that name it, in the text's order; ``--no-x`` counts as a spelling
            of ``--x`` where the text lists them together.
        placeholder: What the text shows for the value; None for a switch.
        description: Its lines, joined by spaces, without the note on the environment.
        env: The environment variable that sets it.
        removed: The text keeps it only to say that it has been removed.
        default: The default as printed, without quotes.
        choices: The values it takes, where the text lists them.
    """

    spellings: tuple[str, ...]
    placeholder: str | None = None
    description: str = ""
    env: str | None = None
    removed: bool = False
    default: str | None = None
    choices: tuple[str, ...] = ()

    @property
    def takes_value(self) -> bool:
        """Whether the text shows a value; ``-fa`` was a switch until Aug 2025."""
        return self.placeholder is not None


def is_negative(option: Option, flag: str) -> bool:
    """Whether a spelling asks for the opposite of what an option is about.

    Help texts list the short spellings before the long one that they stand for.
    """
    if flag.startswith("--"):
        return flag.startswith("--no-")
    after = iter(option.spellings)
    for spelling in after:
        if spelling == flag:
            break
    following = next((one for one in after if one.startswith("--")), "")
    return following.startswith("--no-")


def opposites(option: Option, flag: str) -> list[str]:
    """The flags that ask for the opposite, whether or not a build has them."""
    negative = is_negative(option, flag)
    longs = [
        one for one in option.spellings if one[:2] == "--" and is_negative(option, one) == negative
    ]
    turned = [
        f"--{one.removeprefix('--no-')}" if negative else f"--no-{one.removeprefix('--')}"
        for one in longs
    ]
    return [*turned, *(one for one in option.spellings if is_negative(option, one) != negative)]


@dataclass(frozen=True)
class Capabilities:
    """What a build accepts.

    Attributes:
        options: In the order of the help text.
    """

    options: tuple[Option, ...] = field(repr=False)

    def option(self, flag: str) -> Option | None:
        """The option that the flag spells: a live one before a removed one.

        In long flags builds take an underscore for a dash.
        """
        found = self._by_spelling.get(flag)
        if found is None and flag.startswith("--"):
            return self._by_spelling.get(flag.replace("_", "-"))
        return found

    def option_of_variable(self, name: str) -> Option | None:
        """The option that an environment variable sets.

        ``LLAMA_ARG_NO_X`` negates the option of ``LLAMA_ARG_X`` since b7376, where help texts list
        it no more.
        """
        positive = name.replace("LLAMA_ARG_NO_", "LLAMA_ARG_", 1)
        by_variable = {option.env: option for option in self.options if option.env}
        found = by_variable.get(name)
        if found is None and positive != name:
            found = by_variable.get(positive)
            if found is not None and not any(one.startswith("--no-") for one in found.spellings):
                return None
        return found

    def offers(self, flag: str) -> bool:
        """Whether the flag spells a live option."""
        option = self.option(flag)
        return option is not None and not option.removed

    def removed(self, flag: str) -> bool:
        """Whether the flag spells nothing but a stub of a removed option."""
        option = self.option(flag)
        return option is not None and option.removed

    def canonical(self, flag: str) -> str | None:
        """The first spelling of the flag's option: equal for flags that mean the same option."""
        option = self.option(flag)
        return option.spellings[0] if option else None

    @property
    def flavour(self) -> Flavour | None:
        """How the draft length is spelled (renamed in b8955, ggml-org/llama.cpp PR 22397)."""
        if self.offers("--spec-draft-n-max"):
            return Flavour.RENAMED
        return Flavour.LEGACY if self.offers("--draft-max") else None

    @property
    def draft_length_flag(self) -> str | None:
        """The flag that sets the draft length, in its option's first spelling."""
        flags = ("--spec-draft-n-max", "--draft-max")
        return next((self.canonical(flag) for flag in flags if self.offers(flag)), None)

    @property
    def speculative_types(self) -> tuple[str, ...]:
        """The values of ``--spec-type``; empty before Feb 2026, where the flag does not exist."""
        option = self.option("--spec-type")
        return option.choices if option and not option.removed else ()

    @property
    def takes_type_list(self) -> bool:
        """Whether ``--spec-type`` takes several types, separated by commas (b9109 on)."""
        option = self.option("--spec-type")
        if option is None or option.removed:
            return False
        # Which of the two eras listed choices in brackets and which said so in words differs.
        return "comma-separated list" in option.description or _are_values(
            (option.placeholder or "").split(",")
        )

    @property
    def mtp_token(self) -> str | None:
        """The type that means MTP: ``draft-mtp`` (b9180 on), ``mtp`` in branches before."""
        return next((token for token in MTP_TOKENS if token in self.speculative_types), None)

    @property
    def mtp_switch(self) -> str | None:
        """The switch that turns MTP on without ``--spec-type`` (``-mtp`` in ik_llama.cpp)."""
        flag = "--multi-token-prediction"
        return self.canonical(flag) if self.offers(flag) else None

    @property
    def spec_default(self) -> bool:
        """Whether ``--spec-default`` exists (from between b8672 and b8929 on)."""
        return self.offers("--spec-default")

    @cached_property
    def _by_spelling(self) -> Mapping[str, Option]:
        # The first of its name counts: ik_llama.cpp lists its other programs' options at the end.
        options = self.options[::-1]
        live = {s: o for o in options if not o.removed for s in o.spellings}
        return {s: o for o in options if o.removed for s in o.spellings} | live


def parse_help(text: str) -> Capabilities:
    """Read a help text of any era of llama.cpp, or of ik_llama.cpp."""
    column = _description_column(text)
    return Capabilities(tuple(_parse_block(block, column) for block in _blocks(text, column)))


def probe(binary: Path, env: Mapping[str, str], timeout_s: float = 30) -> Capabilities:
    """Ask a program for its ``--help``, in ``env`` and in nothing else; either output may hold it.

    Raises:
        ProbeError: It cannot be run, does not end in ``timeout_s`` seconds, or does not answer
            like a llama-server.
    """
    try:
        answer = ask_server(binary, "--help", env=env, timeout_s=timeout_s)
    except TimeoutError as error:
        raise ProbeError(
            f"{binary.absolute()} --help did not end within {timeout_s:g} s; "
            "give a llama-server program"
        ) from error
    except (OSError, ValueError) as error:
        raise ProbeError(
            f"{binary.absolute()} cannot be run: {getattr(error, 'strerror', None) or error}; "
            "give a llama-server program for this platform"
        ) from error
    texts = [text for text in (answer.stdout, answer.stderr) if text.strip()]
    for text in texts:
        capabilities = parse_help(text)
        if capabilities.offers("--model") and capabilities.offers("--port"):
            return capabilities
    said = next((line for line in reversed("\n".join(texts).splitlines()) if line.strip()), "")
    raise ProbeError(
        f"{binary} --help ended with {answer.returncode} and lists no --model and --port"
        f"{f' (it said: {said.strip()[:200]})' if said else ''}; give a llama-server program"
    )


@dataclass(frozen=True, kw_only=True)
class OptionChange:
    """Something about an option that differs between two builds, as text."""

    flag: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True)
class CapabilitiesDiff:
    """What one build accepts and another does not.

    Attributes:
        added: Flags that are live only in the second.
        vanished: Flags of the first that the second does not know at all.
        stubbed: Live flags of the first that the second only says are removed.
        defaults: Options whose default differs.
        choices: Options whose listed values differ, the values separated by commas.
        values: Options that are a switch in one and take a value in the other.
        variables: Options that another environment variable sets.
    """

    added: tuple[str, ...]
    vanished: tuple[str, ...]
    stubbed: tuple[str, ...]
    defaults: tuple[OptionChange, ...]
    choices: tuple[OptionChange, ...]
    values: tuple[OptionChange, ...]
    variables: tuple[OptionChange, ...]

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return any(getattr(self, each.name) for each in fields(self))


def diff(before: Capabilities, after: Capabilities) -> CapabilitiesDiff:
    """What changes from one build to another."""
    old, new = (
        dict.fromkeys(s for o in each.options if not o.removed for s in o.spellings)
        for each in (before, after)
    )
    pairs = list(_shared_options(before, after))
    return CapabilitiesDiff(
        added=tuple(s for s in new if not before.offers(s)),
        vanished=tuple(s for s in old if after.option(s) is None),
        stubbed=tuple(s for s in old if after.removed(s)),
        defaults=_changes((f, a.default or "none", b.default or "none") for f, a, b in pairs),
        choices=_changes((f, ",".join(a.choices), ",".join(b.choices)) for f, a, b in pairs),
        values=_changes(
            (f, a.placeholder or "", b.placeholder or "")
            for f, a, b in pairs
            if a.takes_value != b.takes_value
        ),
        variables=_changes((f, a.env or "none", b.env or "none") for f, a, b in pairs),
    )


def _shared_options(
    before: Capabilities, after: Capabilities
) -> Iterator[tuple[str, Option, Option]]:
    """Options live in both, by the first spelling that both know."""
    for old in before.options:
        shared = next((s for s in old.spellings if after.offers(s)), None)
        if shared is not None and before.option(shared) is old and not old.removed:
            new = after.option(shared)
            assert new is not None
            yield shared, old, new


def _changes(triples: Iterator[tuple[str, str, str]]) -> tuple[OptionChange, ...]:
    return tuple(OptionChange(flag=f, before=a, after=b) for f, a, b in triples if a != b)


def _description_column(text: str) -> int | None:
    """Where descriptions start: the commonest deep indentation; None where nothing wraps."""
    indents = Counter(
        len(line) - len(line.lstrip(" ")) for line in text.splitlines() if line.strip()
    )
    deep = [(count, indent) for indent, count in indents.items() if indent > 16]  # noqa: PLR2004
    return max(deep)[1] if deep else None


def _blocks(text: str, column: int | None) -> Iterator[list[str]]:
    """The lines of each option: its head, and what is indented to the description column."""
    block: list[str] = []
    for line in text.splitlines():
        if block and column is not None and not line[:column].strip():
            block.append(line)
            continue
        if block:
            yield block
        block = [line] if _HEAD.match(line) else []
    if block:
        yield block


def _parse_block(block: Sequence[str], column: int | None) -> Option:
    head, first = _split_head(block[0], column)
    lines = [line.strip() for line in (first, *block[1:]) if line.strip()]
    spellings, placeholder = _split_spellings(head)
    text = " ".join(lines)
    env = _ENVIRONMENT.search(text)
    description = " ".join(_ENVIRONMENT.sub("", text).split())
    default = _DEFAULT.search(description)
    return Option(
        spellings=spellings,
        placeholder=placeholder,
        description=description,
        env=env[1] if env else None,
        removed=description.lower().startswith(_STUB),
        default=default[1].strip("'\"") if default else None,
        choices=_choices(placeholder, lines),
    )


def _split_head(line: str, column: int | None) -> tuple[str, str]:
    """Flags and placeholder, and the description where it starts on the same line."""
    if column is not None:
        has_both = len(line) > column and line[column - 2 : column] == "  "
        return (line[:column], line[column:]) if has_both else (line, "")
    # Two spaces that follow no comma divide.
    head, *description = re.split(r"(?<=[^\s,]) {2,}(?=[^\s\-])", line.strip(), maxsplit=1)
    return head, "".join(description)


def _split_spellings(head: str) -> tuple[tuple[str, ...], str | None]:
    spellings: list[str] = []
    rest = head.strip()
    while match := _FLAG.match(rest):
        flag = match[0]
        spellings += [flag[:-3], flag[:-3] + "s"] if flag.endswith("(s)") else [flag]
        rest = rest[match.end() :].lstrip(", ")
    return tuple(spellings), rest.strip() or None


def _choices(placeholder: str | None, lines: Sequence[str]) -> tuple[str, ...]:
    if placeholder is None:
        return ()
    if listed := _listed_in(placeholder):
        return listed
    if match := re.search(r"allowed values: ((?:[\w\-]+, )*[\w\-]+)", " ".join(lines)):
        return tuple(match[1].split(", "))
    return tuple(match[1] for line in lines if (match := _BULLET.match(line)))


def _listed_in(placeholder: str) -> tuple[str, ...]:
    """Reads ``{a,b}``, ``[a|b]``, ``<0|1>``, a bare ``a,b`` and ik_llama.cpp's ``[a - b | c]``."""
    if match := re.search(r"[\[{(<](.+)[\]})>]$", placeholder):
        inside = match[1].replace(" - ", "-")
        separator = "|" if "|" in inside else ","
        words = [word.strip() for word in inside.split(separator)]
    else:
        words = placeholder.split(",")
    return tuple(words) if _are_values(words) else ()


def _are_values(words: Sequence[str]) -> bool:
    """Whether the words are several values, and not any number of one kind, as ``dev1,dev2``."""
    stems = {word.rstrip("0123456789") for word in words}
    is_enumeration = len(stems) == 1 and stems != {""}
    return len(words) > 1 and all(map(_WORD.fullmatch, words)) and not is_enumeration
