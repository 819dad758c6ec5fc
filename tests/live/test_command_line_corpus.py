"""Command lines as people have them: every case of the corpus comes out as real builds do.

``fixtures/corpus/given.jsonl`` holds what each build was seen doing with each case, twice from
scratch, and ``score.py`` beside it says what of an answer of ``check --json`` is right.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cells.qualification import open_store
from harness.cli import main
from harness.gguf_models import ensure_models

pytestmark = pytest.mark.live

CORPUS = Path(__file__).parents[2] / "fixtures" / "corpus"
CASES = [json.loads(line) for line in (CORPUS / "given.jsonl").read_text().splitlines()]
WORD = re.compile(r"[\w./:+=\[\]@,-]+")
UNSAID_ADVICE = {
    # These say of two builds in one sentence what each of them is told in its own.
    "era-flash-attn-value-on-old",
    "file-shell-prefixes",
}
SPOKEN_OF = {"file-two-servers": "#2"}
"""The command line that a case's expectation is for, where its name is not in words."""


def faults(case: dict[str, Any], build: str, answer: dict[str, Any]) -> Iterator[str]:
    """What of an answer is not as the build was seen doing it."""
    expected, found = case["expect"][build], answer["builds"][build]
    starts = found["starts"]
    if "cannot_tell" in expected:
        # Of what lacks a device or a file here, the host's own answer is none.
        untold = {one["word"] for one in [*found["cannot_tell"], *answer["left_out"]]}
        asked = {*case["input"].get("argv", ()), *WORD.findall(expected["cannot_tell"])}
        if starts is not None and untold.isdisjoint(asked):
            yield "judges what cannot be told"
        return
    if starts is None and expected.get("accept_refusal"):
        return
    if starts != expected["starts"] and not (expected.get("dies") and starts is False):
        yield f"starts {starts}"
    blamed = [*filter(None, [expected.get("blame")]), *expected.get("blame_or", ())]
    if blamed and not expected["starts"]:
        told = json.dumps(found, ensure_ascii=False)
        blame = found["blame"]
        if blame not in blamed and (blame or not any(one in told for one in blamed)):
            yield f"blames {blame}"
    if expected.get("silent"):
        words = [one["word"] for one in found["silent"]]
        if not any(w.split("=")[0].lstrip("-") in expected["silent"] or w in blamed for w in words):
            yield f"is silent of {words}"
    yield from unlike(expected.get("settings") or {}, found["settings"])


def unlike(expected: dict[str, Any], seen: dict[str, Any]) -> Iterator[str]:
    """The settings that are not as they were seen."""
    for name, value in expected.items():
        if seen.get(name, "not seen") != value:
            yield f"{name} {seen.get(name, 'not seen')}"


def lay_out(case: dict[str, Any], folder: Path) -> list[str]:
    """Write the case's files, and give the words that name it to ``check``."""
    given = case["input"]
    models = ensure_models(open_store().root / "models")
    files = {
        **given.get("files", {}),
        **({given["file"]: given["text"]} if "file" in given else {}),
    }
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("<tiny"):
            path.write_bytes(models[content.strip("<>")].path.read_bytes())
        else:
            path.write_text(content, encoding="utf-8")
    words = [word for build in case["expect"] for word in ("--build", build)]
    if given.get("model", "").startswith("tiny"):
        words += ["--model", given["model"]]
    if "file" in given:
        return [*words, given["file"]]
    words += [
        word for item in given.get("env", {}).items() for word in ("--variable", "=".join(item))
    ]
    return [*words, "--", *given["argv"]]


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
def test_a_case(
    case: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = lay_out(case, tmp_path)
    monkeypatch.chdir(tmp_path)
    main(["check", "--json", *words])
    said = capsys.readouterr().out
    lines = json.loads(said)["command_lines"]
    second = [one for one in lines if one["name"].endswith(SPOKEN_OF.get(case["id"], "?"))]
    named = (one for one in lines if one["name"].rpartition("#")[2] in case.get("why", ""))
    answer = next((one for one in named if one["name"].rpartition("#")[2]), [*second, *lines][0])
    assert {build: [*faults(case, build, answer)] for build in case["expect"]} == {
        build: [] for build in case["expect"]
    }
    if isinstance(case.get("extracted"), dict):
        expected = {part: case["extracted"][part] for part in ("argv", "env")}
        assert {part: answer[part] for part in expected} == expected
    refused = any(one.get("starts") is False for one in case["expect"].values())
    if case.get("advice") and refused and case["id"] not in UNSAID_ADVICE:
        assert case["advice"] in said
