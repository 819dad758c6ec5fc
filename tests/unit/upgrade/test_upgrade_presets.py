"""Presets written for another build: their keys, and nothing else of them."""

import pytest

from harness.upgrade.presets import RewrittenPreset, rewrite_preset
from tests.generated_lines import era


def between(old: str, new: str, text: str) -> RewrittenPreset:
    return rewrite_preset(text, era(old), era(new))


@pytest.mark.parametrize(
    ("old", "new", "before", "after"),
    [
        ("b8929", "b11434", "mmap = 0", "load-mode = none"),
        ("b8929", "b11434", "no-mmap = 1", "load-mode = none"),
        ("b8929", "b11434", "LLAMA_ARG_NO_MMAP = 1", "LLAMA_ARG_LOAD_MODE = none"),
        ("b11434", "b8929", "load-mode = none", "mmap = off"),
        ("b8929", "b9246", "draft-max=8", "spec-draft-n-max=8"),
        ("b8929", "b9246", "  top_p  =  0.9  ", "  top-p  =  0.9  "),
        ("b8929", "b9464", "md = d.gguf", "md = d.gguf\nspec-type = draft-simple"),
        ("b8929", "b11434", "repeat-last-n = -1", ""),
        ("b8929", "b11434", "jinja = on", "jinja = on"),
        ("b8929", "b11434", "; mmap = 0", "; mmap = 0"),
        ("b8929", "b11434", "load-on-startup = 1", "load-on-startup = 1"),
    ],
)
def test_a_key(old: str, new: str, before: str, after: str) -> None:
    written = between(old, new, f"[a]\nmodel = a.gguf\n{before}\n")
    ended = f"{after}\n" if after else ""
    assert written.text == f"[a]\nmodel = a.gguf\n{ended}"
    again = rewrite_preset(written.text, era(new), era(new))
    assert (again.text, again.changes) == (written.text, ())


def test_each_section_is_a_command_line_of_its_own() -> None:
    text = "version = 1\n[a]\nspec-type = ngram-mod\ndraft-max = 50\n\n[b]\nmd = d\ndraft-max = 8\n"
    assert between("b8929", "b9246", text).text == (
        "version = 1\n[a]\nspec-type = ngram-mod\nspec-ngram-mod-n-max = 50\n\n"
        "[b]\nmd = d\nspec-draft-n-max = 8\n"
    )


def test_the_last_line_may_have_no_end() -> None:
    assert between("b8929", "b9246", "[a]\ndraft-max = 8").text == "[a]\nspec-draft-n-max = 8"
    added = between("b8929", "b9464", "[a]\r\nmd = d")
    assert added.text == "[a]\r\nmd = d\nspec-type = draft-simple"


def test_what_is_written_is_told_as_keys() -> None:
    (change,) = between("b8929", "b11434", "[a]\nmmap = 0\n").changes
    assert str(change) == "mmap = 0 → load-mode = none: b11434 does not know --no-mmap"
