"""The results file as documented: for programs by a schema, for people by a page."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.model import CellResult
from harness.report.jsonl import encode_result, result_schema
from tests.unit.report.bad_results import one_of_each

jsonschema = pytest.importorskip("jsonschema", reason="checks against the schema")

DOCS = Path(__file__).resolve().parents[3] / "docs"
SCHEMA: dict[str, Any] = json.loads((DOCS / "results.schema.json").read_text(encoding="utf-8"))


def documented() -> str:
    return (DOCS / "json-lines.md").read_text(encoding="utf-8")


def test_the_schema_in_the_documentation_is_the_one_of_the_types() -> None:
    assert (DOCS / "results.schema.json").read_bytes() == result_schema()


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("one", one_of_each(), ids=lambda one: str(one.status))
def test_what_is_written_is_valid(one: CellResult) -> None:
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(encode_result(one)))


@pytest.mark.parametrize("key", sorted(SCHEMA["$defs"]["CellResult"]["properties"]))
def test_every_key_is_always_there(key: str) -> None:
    line = json.loads(encode_result(one_of_each()[0]))
    del line[key]
    with pytest.raises(jsonschema.ValidationError, match=f"'{key}' is a required property"):
        jsonschema.Draft202012Validator(SCHEMA).validate(line)


def test_a_wrong_verdict_is_found() -> None:
    line = {**json.loads(encode_result(one_of_each()[0])), "status": "passed"}
    with pytest.raises(jsonschema.ValidationError, match="'passed' is not one of"):
        jsonschema.Draft202012Validator(SCHEMA).validate(line)


def words() -> list[str]:
    """Every key and every word of a fixed list."""
    return [
        word
        for definition in SCHEMA["$defs"].values()
        for word in (*definition.get("properties", ()), *definition.get("enum", ()))
    ]


@pytest.mark.parametrize("word", sorted(set(words())))
def test_the_page_explains_every_word(word: str) -> None:
    assert f"`{word}`" in documented()
