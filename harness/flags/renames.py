"""What says the same in another era, read from the atlas in both directions."""

import fnmatch
from collections.abc import Iterator

from harness.flags.atlas import NEGATING, Atlas, Facts, Life, dashed, load_atlas


def other_flags(flag: str, atlas: Atlas | None = None) -> tuple[str, ...]:
    """The spellings that mean what a flag means; for a negation, negations only.

    Those of its own option come first, then those of what took its place, then those of what it
    took the place of.
    """
    atlas = atlas or load_atlas()
    flag = dashed(flag)
    own = atlas.options_of(flag)
    found: dict[str, None] = {}
    for name in (*own, *_successors(own, atlas), *_predecessors(own, atlas)):
        negative = any(is_negation(flag, atlas.data.options[one]) for one in own)
        side = dict.fromkeys(_side(atlas.data.options[name], negative=negative))
        # The name is the spelling that people know.
        found |= {name: None, **side} if name in side else side
    found.pop(flag, None)
    return tuple(found)


def other_variables(variable: str, atlas: Atlas | None = None) -> tuple[str, ...]:
    """The variables that say what one says, of its option, its successors and predecessors."""
    atlas = atlas or load_atlas()
    own = atlas.options_of(variable)
    arities = {facts.arity for name in own for facts in _ever(atlas.data.options[name])}
    found = {
        facts.env: None
        for name in (*own, *_successors(own, atlas), *_predecessors(own, atlas))
        for facts in reversed([*_ever(atlas.data.options[name])])
        if facts.env and facts.arity in arities and _negates(facts.env) is _negates(variable)
    }
    found.pop(variable, None)
    return tuple(found)


def _negates(variable: str) -> bool:
    return variable.startswith(NEGATING)


def other_values(flag: str, value: str, atlas: Atlas | None = None) -> tuple[str, ...]:
    """The values of an option that say what one says, by the changes that renamed it."""
    atlas = atlas or load_atlas()
    pairs: list[tuple[str, str]] = []
    for life in atlas.history(flag).values():
        for event in life.events:
            pairs += event.renamed.items()
            if event.kind == "values":
                pairs += zip(event.removed, event.replacement, strict=False)
    found = [new for old, new in pairs if old == value] + [
        old for old, new in pairs if new == value
    ]
    return tuple(dict.fromkeys(found))


def is_negation(flag: str, life: Life) -> bool:
    """Whether a flag ever was listed as a negation of an option."""
    return any(flag in facts.negations for facts in _ever(life))


def is_switch(flag: str, atlas: Atlas | None = None) -> bool:
    """Whether a flag of the atlas took no value on any build."""
    lives = (atlas or load_atlas()).history(flag).values()
    return bool(lives) and not any(facts.arity for life in lives for facts in _ever(life))


def _ever(life: Life) -> Iterator[Facts]:
    return (facts for _, facts in life.stages() if facts is not None)


def _side(life: Life, *, negative: bool) -> Iterator[str]:
    """The spellings of one side, those of the newest builds first.

    Before b7376 a negation was listed as the option's only spelling.
    """
    stages = [*_ever(life)]
    negations = {word for facts in stages for word in facts.negations}
    for facts in reversed(stages):
        listed = facts.negations if negative else facts.spellings
        yield from (word for word in listed if negative or word not in negations)


def _successors(names: tuple[str, ...], atlas: Atlas) -> Iterator[str]:
    for name in names:
        for flag in _named_by(atlas.data.options[name]):
            yield from _options(flag, atlas)


def _predecessors(names: tuple[str, ...], atlas: Atlas) -> Iterator[str]:
    wanted = set(names)
    for name, life in atlas.data.options.items():
        named = _named_by(life)
        if name not in wanted and any(not wanted.isdisjoint(_options(one, atlas)) for one in named):
            yield name


def _named_by(life: Life) -> tuple[str, ...]:
    """The flags that some text or somebody's judgement names in an option's place."""
    events = (event for event in life.events if event.kind != "values")
    named = dict.fromkeys(flag for event in events for flag in event.instead)
    return tuple(sorted(named, key=lambda flag: "*" in flag))


def _options(flag: str, atlas: Atlas) -> tuple[str, ...]:
    """The options of a flag; of all that match, where it holds a ``*``."""
    if "*" not in flag:
        return atlas.options_of(flag)
    matching = fnmatch.filter(atlas.data.spellings, flag)
    return tuple(dict.fromkeys(name for one in matching for name in atlas.options_of(one)))
