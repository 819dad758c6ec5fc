"""What a container starts: by its image, its entrypoint and its command."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Final

from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.places import BlankRow, Edit, Option, Place, Word
from harness.formats.programs import (
    Around,
    Started,
    known_programs,
    line_at,
    looks_like_arguments,
    program_name,
    row_behind,
    servers_of,
    variable_of,
    variables_of_file,
)
from harness.formats.words import assignment


class Kind(Enum):
    """What an image starts where it is not told what to start."""

    SERVER = "server"
    """llama-server, as upstream's own ``server`` images do; a program named beside it is handed
    to it as an argument."""
    TOOLS = "tools"
    """``tools.sh``, as upstream's ``full`` images do."""
    LLAMA = "llama"
    """Something of llama.cpp by its name."""
    UNKNOWN = "unknown"
    OTHER = "other"
    """Certainly no llama-server."""


_OTHERS: Final = re.compile(
    r"ollama|llama-?swap|llama[._-]?cpp[._-]python|llama-?stack|llama-?index|llama-?factory|webui"
    r"|vllm|sglang|text-generation|localai|whisper|diffusion|litellm|nginx|caddy|traefik"
)
_CLUSTERED: Final = re.compile(r"-[ditPq]+")


def kind_of_image(image: str) -> Kind:
    """What an image starts, by its name and tag."""
    image = image.lower()
    name, _, tag = image.rpartition("/")[2].partition("@")[0].partition(":")
    if _OTHERS.search(image):
        return Kind.OTHER
    if not re.fullmatch(r"llama[._-]?cpp", name):
        return Kind.LLAMA if "llama" in image else Kind.UNKNOWN
    own = re.search(r"(?:^|_)(server|full|light)(?:-|$)", tag)
    kinds = {"server": Kind.SERVER, "full": Kind.TOOLS, "light": Kind.OTHER}
    return kinds[own[1]] if own else Kind.LLAMA


def container(
    *,
    image: str,
    entrypoint: Sequence[Word] | None,
    command: Sequence[Word],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None = None,
) -> list[PlacedLine]:
    """The command lines of the servers that a container starts.

    Args:
        image: The image's name.
        entrypoint: What is started in place of what the image has; None where nothing is.
        command: What is handed to it.
        env: The container's variables.
        around: What it stands in.
        add: Sets more variables.
    """
    if entrypoint:
        return servers_of([*entrypoint, *command], env, around, add)
    plain, kind = [str(word) for word in command], kind_of_image(image)
    place = command[0].place if command else None
    row = place.row if place else None
    whole = PlacedLine(words=tuple(command), env=env, row=row, add=add)
    if kind is Kind.SERVER:
        return [whole]
    if kind is Kind.TOOLS:
        started = Started(words=command, env=env, around=around, add=add)
        return [line_at(started, 1)] if plain[:1] in (["--server"], ["-s"]) else []
    found = servers_of(command, env, around, add)
    if found or kind is Kind.OTHER:
        return found
    is_whole = looks_like_arguments(plain, env) or (
        kind is Kind.LLAMA and plain[:1] and plain[0].startswith("-")
    )
    return [whole] if is_whole else []


class _Options:
    """The options of ``docker run``, and where the image stands behind them."""

    def __init__(self, words: Sequence[Word], given: Mapping[str, Variable]) -> None:
        self.env: dict[str, Variable] = {}
        self.files: list[str] = []
        self.entrypoint: list[Word] | None = None
        self._words = words
        self._given = given
        self._at = 0
        while self._at < len(words) and str(words[self._at]).startswith("-"):
            self._take()

    @property
    def image(self) -> int:
        """Which word is the image."""
        return self._at

    def _take(self) -> None:
        word = self._words[self._at]
        place = word.place
        option, equals, _ = str(word).partition("=")
        self._at += 1
        if _CLUSTERED.fullmatch(option) or option in known_programs().run_switches:
            return
        if not option.startswith("--") and len(option) > len("-e"):
            option, value = option[:2], Word(word.text[2:])
        elif equals:
            value = Word(word.text[len(option) + 1 :])
        elif self._at < len(self._words):
            value = self._words[self._at]
            self._at += 1
        else:
            return
        self._put(option, value, place)

    def _put(self, option: str, value: Word, place: Place | None) -> None:
        if option in {"-e", "--env"}:
            if assigned := assignment(value):
                variable = variable_of(assigned[1], value)
                both = Option(place, value.place) if place and value.place else None
                self.env[assigned[0]] = replace(variable, place=both)
            else:
                given = self._given.get(str(value), Variable(value=None))
                self.env[str(value)] = replace(given, place=None)
        elif option == "--env-file":
            self.files.append(str(value))
        elif option == "--entrypoint":
            self.entrypoint = [value]


def run_by_engine(started: Started) -> list[PlacedLine]:
    """What ``docker run`` and its like start; the engine itself is not among the words."""
    plain, words, around = started.plain, started.words, started.around
    verb = next((i for i, word in enumerate(plain) if word in {"run", "create", "exec"}), None)
    if verb is None:
        return []
    options = _Options(words[verb + 1 :], started.env)
    image = verb + 1 + options.image
    if image >= len(words):
        return []
    command = words[image + 1 :]
    if plain[verb] == "exec" or program_name(plain[0]) == "compose":
        return servers_of(command, options.env, around, depth=started.depth + 1)
    env, notes = dict(options.env), list[str]()
    for name in options.files:
        text = around.beside(name)
        if text is None:
            notes.append(f"{name} is not there, and what it sets is not known")
        else:
            env = {**variables_of_file(text, raw=True), **env}
    place = words[image].place
    lines = container(
        image=plain[image],
        entrypoint=options.entrypoint,
        command=command,
        env=env,
        around=around,
        add=_before_image(place),
    )
    row = row_behind(place)
    return [replace(x, row=x.row if x.words else row, assumed=(*notes, *x.assumed)) for x in lines]


def _before_image(place: Place | None) -> AddVariables | None:
    if place is None or not isinstance(place.row, BlankRow):
        return None

    def add(pairs: Sequence[tuple[str, str]]) -> list[Edit]:
        words = [word for name, value in pairs for word in ("-e", f"{name}={value}")]
        return [place.row.insert(words, before=place)]

    return add
