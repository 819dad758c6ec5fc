"""On which builds a flag or variable lives, in a few words."""

from collections.abc import Sequence

from harness.flags.atlas import Atlas, Life, Moment, Span, dashed, load_atlas


def lifetime(word: str, atlas: Atlas | None = None) -> str | None:
    """``b4159 … b8954, removed from b8955 on (#22397)``; None where the atlas never has it."""
    atlas = atlas or load_atlas()
    word = dashed(word)
    spans = live_spans(word, atlas)
    if not spans:
        return None
    told = [_stretch(span, atlas) for span in spans]
    last = spans[-1]
    if last.end is None:
        begun = _beginning(word, last, atlas)
        return f"{', '.join(told)}{_linked(begun)}"
    return f"{', '.join(told)}, {_ending(word, last, atlas)}"


def live_spans(word: str, atlas: Atlas) -> tuple[Span, ...]:
    """The stretches of builds where a flag or variable means something that works, in order."""
    word = dashed(word)
    spans = sorted(
        (
            span
            for life in atlas.history(word).values()
            for span in life.spans(lambda facts: facts.works and facts.has(word))
        ),
        key=lambda span: span.first,
    )
    joined: list[Span] = []
    for span in spans:
        if joined and _follows(joined[-1], span):
            before = joined.pop()
            joined.append(
                Span(first=before.first, after=before.after, last=span.last, end=span.end)
            )
        else:
            joined.append(span)
    return tuple(joined)


def since(word: str, build: int, atlas: Atlas | None = None) -> str | None:
    """Why a build does not know a flag or variable: since when it is gone, or when it comes.

    ``removed since b8955, #22397``, ``comes with b10105, #20834``; None where the build has it,
    and where the atlas does not go or cannot tell.
    """
    atlas = atlas or load_atlas()
    spans = live_spans(word, atlas)
    found = _off(spans, build, atlas)
    if found is None:
        return None
    if found.end is not None and found.end <= build:
        return _ending(dashed(word), found, atlas)
    return _coming(found, _moment(dashed(word), found.first, atlas))


def value_since(flag: str, value: str, build: int, atlas: Atlas | None = None) -> str | None:
    """The same for a value that an option lists on other builds."""
    atlas = atlas or load_atlas()
    lives = tuple(atlas.history(flag).values())
    spans = tuple(
        span for life in lives for span in life.spans(lambda facts: value in facts.values)
    )
    found = _off(spans, build, atlas)
    if found is None:
        return None
    if found.end is not None and found.end <= build:
        moment = moment_of(lives, found.end, atlas)
        return f"gone {_when(moment, found.end)}{_linked(moment)}"
    return _coming(found, moment_of(lives, found.first, atlas))


def _off(spans: Sequence[Span], build: int, atlas: Atlas) -> Span | None:
    """The stretch that a build lies behind, else the one it lies before; None where not certain."""
    if build not in atlas or any(build in span for span in spans):
        return None
    ended = [span for span in spans if span.last is not None and span.last < build]
    if ended:
        end = ended[-1].end
        return ended[-1] if end is not None and end <= build else None
    later = next((span for span in spans if build < span.first), None)
    return None if later is None or (later.after is not None and build > later.after) else later


def _coming(span: Span, moment: Moment | None) -> str:
    exact = "with " if span.after is None else ""
    when = moment.builds if moment else f"b{span.first}"
    return f"comes {exact}{when}{_linked(moment)}"


def _follows(one: Span, other: Span) -> bool:
    return one.last is not None and (one.last + 1 == other.first or one.end == other.first)


def _stretch(span: Span, atlas: Atlas) -> str:
    begin = f"b{span.first}"
    if span.last is None:
        return f"{begin} on" if span.first > atlas.first else f"{begin} to b{atlas.last}"
    return begin if span.first == span.last else f"{begin} … b{span.last}"


def _ending(word: str, span: Span, atlas: Atlas) -> str:
    """What became of it: removed, with a stub, or gone."""
    assert span.end is not None
    sighting = atlas.option(word, span.end)
    how = "removed" if sighting.early is not None else "gone"
    moment = _moment(word, span.end, atlas)
    return f"{how} {_when(moment, span.end)}{_linked(moment)}"


def _when(moment: Moment | None, build: int) -> str:
    if moment is None or moment.after is None:
        return f"since {moment.builds if moment else f'b{build}'}"
    return moment.builds


def _beginning(word: str, span: Span, atlas: Atlas) -> Moment | None:
    return _moment(word, span.first, atlas) if span.first > atlas.first else None


def _moment(word: str, build: int, atlas: Atlas) -> Moment | None:
    return moment_of(tuple(atlas.history(word).values()), build, atlas)


def moment_of(lives: Sequence[Life], build: int, atlas: Atlas) -> Moment | None:
    """When something about some options changed that makes a difference from a build on."""
    for life in lives:
        for change in life.history:
            if build in {change.b, None if change.after is None else change.after + 1}:
                moments = [atlas.moment(event) for event in life.events if event.b == change.b]
                told = (one for one in moments if one.pr is not None)
                return next(told, moments[0] if moments else atlas.moment(change))
    return None


def _linked(moment: Moment | None) -> str:
    return f", {moment.link}" if moment and moment.link else ""
