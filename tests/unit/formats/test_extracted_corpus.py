"""The files of the corpus: each must be read exactly as it says."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.formats import read_file

CORPUS = Path(__file__).parents[3] / "fixtures" / "corpus" / "given.jsonl"
CASES = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
FILES = [case for case in CASES if "extracted" in case]


def test_the_corpus_has_files() -> None:
    assert len(FILES) >= 25


@pytest.mark.parametrize("case", FILES, ids=[case["id"] for case in FILES])
def test_what_is_read_out_of_a_file(case: dict[str, Any], tmp_path: Path) -> None:
    given = case["input"]
    for name, text in {**(given.get("files") or {}), given["file"]: given["text"]}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    found = read_file(tmp_path / given["file"])
    expected = case["extracted"]
    if isinstance(expected, dict):
        assert len(found) == 1
        expected = [{"name": next(iter(found)), **expected}]
    assert [
        {
            "name": name,
            "argv": list(line.words),
            "env": dict(line.env),
            "env_unknown": list(line.env_unknown),
        }
        for name, line in found.items()
    ] == [{"env_unknown": [], **one} for one in expected]
