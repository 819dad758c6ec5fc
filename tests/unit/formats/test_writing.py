"""What is written reads back, and nothing else of the file changes."""

import string
from collections.abc import Mapping
from dataclasses import replace
from difflib import ndiff
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import FormatError
from harness.formats import FORMATS, CommandLine, read_text, write, write_all, write_file
from harness.formats.document import Document
from harness.formats.traced import Traced
from tests.unit.formats.samples import SAMPLES, Sample

NOWHERE = Path("/nowhere")
each = pytest.mark.parametrize("sample", SAMPLES, ids=[one.file for one in SAMPLES])


def read(sample: Sample, text: str) -> CommandLine:
    return read_text(text, sample.file, path=NOWHERE / sample.file)[sample.name]


def written(sample: Sample, new: CommandLine) -> str:
    old = read(sample, sample.text)
    path = NOWHERE / sample.file
    return write(sample.text, sample.name, old, new, origin=sample.file, path=path)


def changed_lines(before: str, after: str) -> list[str]:
    return [line for line in ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@each
def test_a_sample_is_read(sample: Sample) -> None:
    line = read(sample, sample.text)
    assert line.words == tuple(sample.words.split())
    assert line.env == sample.env
    assert not line.env_unknown


@each
def test_its_kind_is_told_by_its_content(sample: Sample) -> None:
    document = Document(Traced.file(sample.text), sample.text, sample.file, NOWHERE / sample.file)
    kinds = [name for name, one in FORMATS.items() if one.recognises(document)]
    assert kinds[0] == sample.format


@each
def test_the_kind_can_be_forced(sample: Sample) -> None:
    found = read_text(sample.text, "text", sample.format)
    assert found[sample.name].words == tuple(sample.words.split())


def test_every_format_but_the_preset_has_a_sample() -> None:
    assert {one.format for one in SAMPLES} | {"preset"} == set(FORMATS)


@each
def test_nothing_changed_is_byte_for_byte_the_same(sample: Sample) -> None:
    line = read(sample, sample.text)
    assert written(sample, replace(line, words=line.words, env=dict(line.env))) == sample.text


@each
def test_a_flag_becomes_two_words(sample: Sample) -> None:
    line = read(sample, sample.text)
    if not line.words:
        return
    new = replace(line, words=(*line.words[:-1], "--load-mode", "none"))
    text = written(sample, new)
    assert read(sample, text).words == new.words
    assert all(
        "--no-mmap" in one or "load-mode" in one or "none" in one
        for one in changed_lines(sample.text, text)
    )


@each
def test_a_value_in_the_middle(sample: Sample) -> None:
    line = read(sample, sample.text)
    if not line.words:
        return
    new = replace(line, words=(*line.words[:3], "4096", *line.words[4:]))
    text = written(sample, new)
    assert read(sample, text) == replace(new, assumed=line.assumed)
    assert text.replace("4096", "2048") == sample.text


@each
def test_words_fewer(sample: Sample) -> None:
    line = read(sample, sample.text)
    for words in (line.words[:-1], line.words[:2] + line.words[4:], line.words[2:]):
        text = written(sample, replace(line, words=words))
        assert read(sample, text).words == words
        assert len(text) < len(sample.text) or words == line.words


@each
def test_a_variable_renamed_changed_and_gone(sample: Sample) -> None:
    line = read(sample, sample.text)
    if "LLAMA_ARG_TOP_K" not in line.env:
        return
    rest = {name: value for name, value in line.env.items() if name != "LLAMA_ARG_TOP_K"}
    for env in ({**rest, "LLAMA_ARG_TOP_P": "7"}, {**rest, "LLAMA_ARG_TOP_K": "9"}, rest):
        text = written(sample, replace(line, env=env))
        again = read(sample, text)
        assert dict(again.env) == env
        assert again.words == line.words
        assert len(changed_lines(sample.text, text)) <= 4


@each
def test_a_variable_more(sample: Sample) -> None:
    line = read(sample, sample.text)
    new = replace(line, env={**line.env, "LLAMA_ARG_MIN_P": "0.1"})
    if not sample.may_add:
        with pytest.raises(FormatError, match="no place in it for more variables"):
            written(sample, new)
        return
    assert dict(read(sample, written(sample, new)).env) == new.env


WORDS = st.lists(
    st.one_of(
        st.sampled_from(["-m", "-c", "--no-mmap", "--jinja", "/models/a.gguf", "2048", "4096"]),
        st.text(
            string.ascii_letters + string.digits + "-_./:=,;@{}[]\"' +%~&|<>()*?#!^",
            min_size=1,
            max_size=12,
        ),
    ),
    max_size=8,
)
ENV = st.dictionaries(
    st.sampled_from(["LLAMA_ARG_TOP_K", "LLAMA_ARG_TOP_P", "LLAMA_ARG_ALIAS", "HOME"]),
    st.text(string.ascii_letters + string.digits + " -_./:=,;@{}", min_size=1, max_size=10),
    max_size=3,
)


@each
@given(words=WORDS, env=ENV)
@settings(max_examples=40, deadline=None)
def test_what_is_written_reads_back_or_is_refused(
    sample: Sample, words: list[str], env: Mapping[str, str]
) -> None:
    line = read(sample, sample.text)
    new = replace(line, words=tuple(words), env=env)
    try:
        text = written(sample, new)
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017 - one line is all that is promised
        return
    again = read(sample, text)
    assert (again.words, dict(again.env)) == (new.words, dict(env))


PLAIN = st.lists(
    st.one_of(
        st.sampled_from(["-m", "-c", "--no-mmap", "--jinja", "/models/a.gguf", "2048", "4096"]),
        st.text(string.ascii_letters + string.digits + "-_./", min_size=1, max_size=12),
        st.sampled_from(['{"a": true}', "a b", "top_k;top_p", "x=y", "a,b"]),
    ),
    min_size=1,
    max_size=8,
)


@each
@given(words=PLAIN)
@settings(max_examples=40, deadline=None)
def test_words_as_people_have_them_can_always_be_written(sample: Sample, words: list[str]) -> None:
    line = read(sample, sample.text)
    if not line.words or sample.file == "array.sh":
        return
    if sample.file == "config.yaml":  # its first words stand in YAML text without quotes
        words = [word for word in words if ": " not in word]
    words = ["--jinja", *words, "--no-mmap"]
    assert read(sample, written(sample, replace(line, words=tuple(words)))).words == tuple(words)


def test_a_word_that_plain_yaml_cannot_hold() -> None:
    text = "models: {}\n".replace("{}", "\n  a:\n    cmd: llama-server -c 1")
    old = read_text(text, "config.yaml")["a"]
    new = replace(old, words=(*old.words, "--chat-template-kwargs", '{"a": 1}'))
    with pytest.raises(FormatError, match="would need quotes around the whole text"):
        write(text, "a", old, new)


SHARED = """
macros:
  server: llama-server --no-mmap
models:
  one: {cmd: "${server} -m a.gguf"}
  two: {cmd: "${server} -m b.gguf"}
"""


def test_what_two_command_lines_share_changes_for_both_or_for_none() -> None:
    lines = read_text(SHARED, "config.yaml")
    news = {name: replace(line, words=line.words[1:]) for name, line in lines.items()}
    with pytest.raises(FormatError, match="#two: shares what is to be changed"):
        write(SHARED, "one", lines["one"], news["one"])
    text = write_all(SHARED, {name: (lines[name], news[name]) for name in lines})
    assert text == SHARED.replace(" --no-mmap", "")
    assert dict(read_text(text, "config.yaml")) == news


def test_a_command_line_that_is_not_there() -> None:
    line = CommandLine(words=("-c", "1"))
    other = CommandLine(words=("-c", "2"))
    with pytest.raises(FormatError, match="does not hold the command line"):
        write("llama-server -c 3", "", line, other)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_keeps_its_encoding_and_its_line_ends(
    tmp_path: Path, encoding: str, ending: str
) -> None:
    text = f"# größer{ending}llama-server -m a.gguf --no-mmap{ending}"
    path = tmp_path / "start.ps1"
    path.write_bytes(text.encode(encoding))
    old = CommandLine(words=("-m", "a.gguf", "--no-mmap"))
    write_file(path, "", old, replace(old, words=("-m", "a.gguf", "--load-mode", "none")))
    expected = text.replace("--no-mmap", "--load-mode none")
    assert path.read_bytes() == expected.encode(encoding)


def test_a_preset_is_not_written_to(tmp_path: Path) -> None:
    text = "[a]\nmodel = /models/a.gguf\n"
    old = read_text(text, "p.ini", path=tmp_path / "p.ini")[""]
    with pytest.raises(FormatError, match="does not stand in it by itself"):
        write(
            text,
            "",
            old,
            replace(old, words=("--models-preset", "other.ini")),
            path=tmp_path / "p.ini",
        )
