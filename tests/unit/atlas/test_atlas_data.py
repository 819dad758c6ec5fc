"""The atlas's file: of its schema, and of one piece."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from harness.flags.atlas import FIELDS, Atlas, State, load_atlas, pinned_file, read_atlas
from tests.atlas.extension import file_text, spelling_rows

ATLAS = load_atlas()
FILE = ATLAS.data
CONTENT = pinned_file().read_bytes()


def test_the_file_stands_as_it_is_written() -> None:
    assert file_text(FILE) == CONTENT.decode()


def test_the_index_of_spellings_is_that_of_the_histories() -> None:
    assert spelling_rows(FILE) == FILE.spellings


def test_the_ends_are_where_the_file_says() -> None:
    archives = list(FILE.late_snapshots)
    assert archives == sorted(archives)
    assert FILE.first < FILE.exact_to < archives[0]
    assert archives[-1] == FILE.last
    builds = [change.b for life in FILE.options.values() for change in life.history]
    assert min(builds) == FILE.first
    assert max(builds) <= FILE.last


def test_histories_go_forward_and_each_entry_changes_something() -> None:
    for name, life in FILE.options.items():
        builds = [change.b for change in life.history]
        assert builds == sorted(set(builds)), name
        stages = [facts for _, facts in life.stages()]
        assert stages[0], name
        assert stages[0].spellings, name
        assert all(one != other for one, other in pairwise(stages)), name
        assert any(name in facts.spellings for facts in stages if facts), name


def test_windows_lie_between_neighbouring_archives() -> None:
    archives = [FILE.exact_to, *FILE.late_snapshots]
    before = dict(zip(archives[1:], archives, strict=False))
    for name, life in FILE.options.items():
        for build, after in [(one.b, one.after) for one in life.history] + [
            (one.b, one.after) for one in life.events
        ]:
            assert (after is None) is (build <= FILE.exact_to), name
            assert after is None or before[build] == after, name


NOT_TOLD = {"condition", "default", "placeholder", "type", "use", "values"}
"""What changes without an event: a value that became known, or the words for a stub."""


def test_every_event_is_at_a_change_and_every_change_that_matters_has_one() -> None:
    for name, life in FILE.options.items():
        told = {event.b for event in life.events}
        assert told <= {change.b for change in life.history}, name
        for change in life.history[1:]:
            if change.b not in told:
                given = {one for one in FIELDS if getattr(change, one) is not msgspec.UNSET}
                assert given <= NOT_TOLD, (name, change)


def test_every_exact_build_that_is_named_has_its_commit() -> None:
    named = {
        event.b for life in FILE.options.values() for event in life.events if event.after is None
    } | {note.b for note in FILE.notes if note.after is None}
    assert {build for build in named if build <= FILE.exact_to} <= set(FILE.commits)


def test_what_is_named_instead_exists() -> None:
    for life in FILE.options.values():
        for event in life.events:
            for word in event.instead:
                if event.kind != "values" and "*" not in word:
                    assert ATLAS.options_of(word), word
            for name in (event.into, event.renamed_from, event.renamed_to):
                assert name is None or name in FILE.options


def test_notes_are_about_options_that_exist() -> None:
    for note in FILE.notes:
        assert all(ATLAS.options_of(flag) for flag in note.flags)


def _misspell(document: Any) -> None:
    document["options"]["--draft-max"]["history"][0]["placholder"] = "N"


def _wrong_state(document: Any) -> None:
    document["options"]["--draft-max"]["history"][-1]["state"] = "dead"


def _wrong_arity(document: Any) -> None:
    document["options"]["--draft-max"]["history"][0]["arity"] = 3


def _unknown_kind(document: Any) -> None:
    document["options"]["--draft-max"]["events"][0]["kind"] = "vanished"


def _text_for_a_number(document: Any) -> None:
    document["last"] = "b11549"


def _no_history(document: Any) -> None:
    document["options"]["--draft-max"]["history"] = []


def _lower_case_variable(document: Any) -> None:
    document["options"]["--draft-max"]["history"][0]["env"] = "llama"


@pytest.mark.parametrize(
    ("spoil", "where"),
    [
        (_misspell, "placholder"),
        (_wrong_state, "state"),
        (_wrong_arity, "arity"),
        (_unknown_kind, "kind"),
        (_text_for_a_number, "last"),
        (_no_history, "history"),
        (_lower_case_variable, "env"),
    ],
)
def test_the_schema_names_what_is_wrong(spoil: Callable[[Any], None], where: str) -> None:
    document = json.loads(CONTENT)
    spoil(document)
    with pytest.raises(msgspec.ValidationError, match=where):
        read_atlas(json.dumps(document).encode())


def test_a_stub_has_no_default_and_a_live_option_no_replacement() -> None:
    for build in (6170, 9246, FILE.last):
        for name, facts in Atlas(FILE).table(build).items():
            assert facts.state is not State.ABSENT
            if facts.state is State.STUB:
                assert facts.default is None, name
                assert facts.use, name
            if facts.state is State.LIVE:
                assert facts.use == (), name
