"""Command lines as people have them: every case of the corpus comes out as real builds do.

``fixtures/corpus/given.jsonl`` holds what each build was seen doing with each case, twice from
scratch, and ``score.py`` beside it says what of an answer of ``check --json`` is right.
"""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from harness.cells.qualification import open_store
from harness.cli import main
from harness.gguf_models import ensure_models

pytestmark = pytest.mark.live

CORPUS = Path(__file__).parents[2] / "fixtures" / "corpus"
CASES = [json.loads(line) for line in (CORPUS / "given.jsonl").read_text().splitlines()]
UNSAID_ADVICE = {
    # These say of two builds in one sentence what each of them is told in its own.
    "era-flash-attn-value-on-old",
    "file-shell-prefixes",
}
SPOKEN_OF = {"file-two-servers": "#2"}
"""The command line that a case's expectation is for, where its name is not in words."""


@pytest.fixture(scope="module")
def score() -> ModuleType:
    spec = importlib.util.spec_from_file_location("score", CORPUS / "score.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    score: ModuleType,
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
    wrong = {
        build: fault
        for build, expected in case["expect"].items()
        if (fault := score.wrong(case, build, expected, answer["builds"].get(build), answer))
    }
    assert wrong == {}
    if isinstance(case.get("extracted"), dict):
        expected = {part: case["extracted"][part] for part in ("argv", "env")}
        assert {part: answer[part] for part in expected} == expected
    refused = any(one.get("starts") is False for one in case["expect"].values())
    if case.get("advice") and refused and case["id"] not in UNSAID_ADVICE:
        assert case["advice"] in said
