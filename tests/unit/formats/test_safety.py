"""No text makes a traceback, a hang or a command that is run."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import EXIT_USAGE, FormatError
from harness.formats import FORMATS, read_file, read_text
from tests.unit.formats.samples import SAMPLES

PIECES = [
    *(
        "llama-server",
        " -m ",
        "a.gguf",
        "\n",
        " ",
        "\\\n",
        "'",
        '"',
        "`",
        "$",
        "${",
        "}",
        "$(",
        ")",
    ),
    *(
        "((",
        "))",
        "|",
        "&",
        ";",
        "<<EOF\n",
        "EOF\n",
        "if ",
        "then ",
        "fi",
        "case ",
        "esac",
        "[",
        "]",
    ),
    *("{", ":", "- ", "services:\n", "  command: ", "#", "=", "export A=", "set A=", "%A%", "^\n"),
    *(
        "[Service]\n",
        "ExecStart=",
        "[Container]\n",
        "Exec=",
        "FROM x\n",
        "CMD ",
        "@(",
        "@'",
        "&amp;",
    ),
    *("<plist>", "<dict>", "<", ">", "\0", "\x1b", "\ud7ff", "\u2028", "\r\n", "\t", "models:\n"),
    *("{{", "{%", "%}", "-e ", "docker run ", "sh -c '", "eval ", "while true; do ", "done", "!"),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(text=TEXTS)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        found = read_text(text, "text")
    except FormatError as error:
        assert (error.exit_code, str(error).count("\n")) == (EXIT_USAGE, 0)  # noqa: PT017
        return
    assert all(isinstance(word, str) for line in found.values() for word in line.words)


@given(text=TEXTS, name=st.sampled_from(sorted(FORMATS)))
@settings(max_examples=300, deadline=None)
def test_any_text_of_a_forced_format(text: str, name: str) -> None:
    try:
        read_text(text, "text", name)
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017


@given(data=st.data(), sample=st.sampled_from(SAMPLES))
@settings(max_examples=300, deadline=None)
def test_a_file_that_was_damaged(data: st.DataObject, sample: object) -> None:
    text = sample.text  # type: ignore[attr-defined]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    piece = data.draw(st.sampled_from(PIECES))
    try:
        read_text(text[:start] + piece + text[end:], "text")
    except FormatError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize(
    "text",
    [
        "$(touch {mark})",
        "`touch {mark}`",
        "llama-server -m $(touch {mark}) -c `touch {mark}`",
        'A="$(touch {mark})" llama-server -m a.gguf',
        "export A=$(touch {mark}); . {mark}.sh; llama-server -m $A",
        "sh -c 'touch {mark}; llama-server -m a.gguf'",
        "cat <<EOF | sh\n$(touch {mark})\nllama-server -m a\nEOF",
        "llama-server -m ${{A:-$(touch {mark})}} -c $(( $(touch {mark}) + 1 ))",
        "services: {{a: {{image: 'llama.cpp:server', command: '$(touch {mark})'}}}}",
        "services: {{a: {{command: !!python/object/apply:os.system ['touch {mark}']}}}}",
        '$x = $(touch {mark}); & llama-server -m "$(touch {mark})"',
        "FROM x\nCMD llama-server -m $(touch {mark})",
        "llm: llama-server -m $(touch {mark})",
    ],
)
def test_nothing_is_run(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something was run")

    for module, names in ((os, ("system", "popen", "posix_spawn", "execv", "fork")),
                          (subprocess, ("run", "Popen", "call", "check_output"))):  # fmt: skip
        for name in names:
            monkeypatch.setattr(module, name, refuse, raising=False)
    mark = tmp_path / "mark"
    (tmp_path / "mark.sh").write_text(f"touch {mark}\n")
    filled = re.sub(r"\{mark\}", lambda _: str(mark), text).replace("{{", "{").replace("}}", "}")
    path = tmp_path / "file"
    path.write_text(filled)
    kinds: list[str | None] = [None, *FORMATS]
    for kind in kinds:
        try:
            read_file(path, kind)
        except FormatError:
            continue
    assert not mark.exists()


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000,
        "{" * 20_000,
        "[" * 20_000,
        "$(" * 20_000,
        "${a:-" * 10_000,
        '"${' * 10_000,
        "\n" * 20_000 + "x",
        "# a\n\n" * 5_000 + "x",
        "<#" * 20_000,
        "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(200)),
        "models: {m: {cmd: '${a}'}}\nmacros: {a: '${b}${b}', b: '${a}${a}'}",
        "x: " + "- " * 2_000,
        "for a in " + "b " * 5_000 + "; do llama-server -m $a; done",
        "f() { f; f; }; f; llama-server -c 1",
        "if " * 3_000,
        "llama-server " + "-c 1 " * 20_000,
        "set A=%A%%A%\n" * 3_000 + "llama-server.exe -m %A%",
        "A=$A$A\n" * 60 + "llama-server -m x$A",
        "A=xy\n" + "A=$A$A\n" * 60 + "llama-server -m $A",
        "set A=xy\n" + "set A=%A%%A%\n" * 60 + "llama-server.exe -m %A%",
        "$a = 'xy'\n" + '$a = "$a$a"\n' * 60 + "& llama-server -m $a",
        '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><plist><dict>&c;</dict></plist>',
    ],
    ids=lambda text: text[:24].replace("\n", " "),
)
def test_nothing_hangs(text: str) -> None:
    begin = time.monotonic()
    for name in (None, *FORMATS):
        try:
            read_text(text, "text", name)
        except FormatError as error:
            assert "\n" not in str(error)  # noqa: PT017
    assert time.monotonic() - begin < 60


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="cannot be read"):
        read_file(path)
    with pytest.raises(FormatError, match="is a directory"):
        read_file(tmp_path)
    with pytest.raises(FormatError, match="there is none"):
        read_file(tmp_path / "b")
    path.write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(FormatError, match="larger than"):
        read_file(path)


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes")
def test_a_pipe_beside_a_file_is_not_waited_for(tmp_path: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "x.env")
    path = tmp_path / "start.sh"
    path.write_text(". ./x.env\n. /dev/zero\n. /proc/kmsg\nllama-server -c 1\n")
    (line,) = read_file(path).values()
    assert line.words == ("-c", "1")
    assert "./x.env is not there, and what it sets is not known" in line.assumed


def test_a_file_of_no_known_kind_says_what_was_looked_for() -> None:
    with pytest.raises(FormatError) as caught:
        read_text("hello world", "text")
    for one in FORMATS.values():
        assert one.LOOKED_FOR in str(caught.value)
    with pytest.raises(FormatError, match="there are argument-list, lemonade"):
        read_text("llama-server", "text", "nonsense")
