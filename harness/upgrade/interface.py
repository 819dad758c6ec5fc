"""The keys of a server's API under one command line, and how they differ between two builds."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.settings.observation import Observation

_KINDS: Final = {bool: "boolean", int: "number", float: "number", str: "text", list: "list"}
_STEM: Final = re.compile(r"[a-z_]+\.(?=\w)|[a-z]+_(?=\w)")
_MANY: Final = 3
"""So many keys that begin alike are told together."""

Interface = Mapping[tuple[str, str], str]
"""The kind of each key's value, by where it stands and its name."""


@dataclass(frozen=True, kw_only=True)
class KeyChange:
    """A key that appears, vanishes, or has another kind of value.

    Attributes:
        place: The path, and the objects around it: ``/props default_generation_settings.params``.
        before: The kind of its value; empty where there is none.
        after: Likewise.
    """

    place: str
    key: str
    before: str
    after: str

    @property
    def what(self) -> str:
        """What becomes of it."""
        if not self.before:
            return f"new ({self.after})"
        return f"{self.before} → {self.after}" if self.after else "gone"


def interface_of(observation: Observation) -> Interface:
    """The keys of what the API answers."""
    probed = observation.probed
    answers: Mapping[str, Any] = {
        "/props": observation.properties,
        "/slots[]": observation.slot,
        "/v1/models data[]": observation.models[0] if observation.models else None,
        "/completion": observation.completion,
        "/v1/chat/completions": probed.chat if probed else None,
    }
    return {
        place: kind
        for path, answer in answers.items()
        if isinstance(answer, Mapping)
        for place, kind in _keys(path, (), answer)
    }


def _keys(
    path: str, around: tuple[str, ...], answer: Mapping[str, Any]
) -> Iterator[tuple[tuple[str, str], str]]:
    place = " ".join(filter(None, (path, ".".join(around))))
    for key, value in answer.items():
        if isinstance(value, Mapping):
            yield from _keys(path, (*around, key), value)
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            yield from _keys(path, (*around, f"{key}[]"), value[0])
        elif value is not None:
            yield (place, key), _KINDS.get(type(value), type(value).__name__)


def compare_interfaces(old: Interface, new: Interface) -> tuple[KeyChange, ...]:
    """The keys that differ; of a path that one of the servers does not answer, none."""
    answered = [{place.partition(" ")[0] for place, _ in one} for one in (old, new)]
    both = answered[0] & answered[1]
    changes = (
        KeyChange(place=place, key=key, before=before, after=after)
        for place, key in dict.fromkeys((*old, *new))
        for before, after in [(old.get((place, key), ""), new.get((place, key), ""))]
        if before != after
    )
    return tuple(one for one in changes if one.place.partition(" ")[0] in both)


def told(changes: Iterable[KeyChange]) -> Iterator[str]:
    """One line for what becomes of the same keys in several places, and of keys that begin alike.

    ``speculative.{n_max, n_min, p_min} gone in /props default_generation_settings.params``
    """
    places: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        places.setdefault((change.what, change.key), []).append(change.place)
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (what, key), found in places.items():
        groups.setdefault((what, tuple(found)), []).append(key)
    for (what, where), keys in groups.items():
        yield f"{', '.join(_shortened(keys))} {what} in {' and '.join(where)}"


def _shortened(keys: Iterable[str]) -> Iterator[str]:
    """Keys that begin alike as one: ``speculative.{n_max, n_min, p_min}``."""
    stems: dict[str, list[str]] = {}
    for key in keys:
        found = _STEM.match(key)
        stems.setdefault(found[0] if found else key, []).append(key)
    for stem, members in stems.items():
        if len(members) >= _MANY:
            yield f"{stem}{{{', '.join(one.removeprefix(stem) for one in members)}}}"
        else:
            yield from members
