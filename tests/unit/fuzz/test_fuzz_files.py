"""Files that users write or keep: whatever is in them, one clear line says what is wrong."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.builds import load_catalogue
from harness.builds.catalogue import pinned_directory, read_build
from harness.emulation.description import read_description
from harness.errors import HarnessError, SubjectError, UsageError
from harness.model import CellResult, LaunchPlan
from harness.report.jsonl import decode_result, encode_result, read_results
from harness.shim.recordings import Launch, Recording, Run, load_recording, save_recording
from harness.subjects.command import CommandSubject
from harness.verdicts.ledger import load_ledger
from tests.unit.results import lengths, result
from tests.unit.test_ledger import ENTRY

EXAMPLES = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
CATALOGUE = load_catalogue()
BUILD = (pinned_directory() / "b9246.toml").read_text(encoding="utf-8")
RESULT = encode_result(result(effective={"draft-mtp": lengths(5)}))
LAUNCH = Launch(argv=["-m", "x"], env={"A": "b"}, directory="/", time=1.0, pid=2)
RECORDING = Recording(application=["app"], runs=[Run(build="b9246", status=0, launches=[LAUNCH])])


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """The text with a part cut out, doubled, or replaced."""
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 40)))
    return (
        text[:start]
        + draw(st.one_of(st.binary(max_size=12), st.just(text[start:end] * 2)))
        + (text[end:])
    )


def one_line(error: HarnessError, file: Path) -> None:
    assert str(file) in str(error)
    assert str(error).strip()


@EXAMPLES
@given(content=st.one_of(damaged(BUILD.encode()), st.binary(max_size=200)))
def test_a_catalogue_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "b9246.toml"
    file.write_bytes(content)
    try:
        build = read_build(file)
    except HarnessError as error:
        one_line(error, file)
    else:
        assert build.id == "b9246"
        assert build.sources


@EXAMPLES
@given(content=st.one_of(damaged(ENTRY.encode()), st.binary(max_size=200)))
def test_a_ledger(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "ledger.toml"
    file.write_bytes(content)
    try:
        ledger = load_ledger(CATALOGUE, file)
    except HarnessError as error:
        one_line(error, file)
    else:
        assert all(entry.reason and entry.checks for entry in ledger.entries)


@EXAMPLES
@given(content=st.one_of(damaged(b'era = "b9246"\nfault = "slow-help"\n'), st.binary(max_size=99)))
def test_a_description(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    try:
        assert read_description(file).era
    except HarnessError as error:
        one_line(error, file)


@EXAMPLES
@given(content=st.one_of(damaged(msgspec.json.encode(RECORDING)), st.binary(max_size=200)))
def test_a_recording(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "recording.json"
    file.write_bytes(content)
    try:
        assert load_recording(file).recording == 2
    except SubjectError as error:
        one_line(error, file)


@EXAMPLES
@given(
    argv=st.lists(st.text(max_size=30), max_size=6),
    env=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
)
def test_a_recording_comes_back_as_it_was(
    argv: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    launch = Launch(argv=argv, env=env, directory="/", time=1.0, pid=2)
    recording = Recording(application=[], runs=[Run(build="b", status=0, launches=[launch])])
    save_recording(recording, tmp_path / "recording.json")

    assert load_recording(tmp_path / "recording.json") == recording


@EXAMPLES
@given(content=st.one_of(damaged(RESULT + b"\n" + RESULT + b"\n"), st.binary(max_size=200)))
def test_a_results_file(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    file.write_bytes(content)
    try:
        assert all(isinstance(one, CellResult) for one in read_results([file]))
    except UsageError as error:
        one_line(error, file)


@EXAMPLES
@given(
    mode=st.one_of(st.none(), st.text(max_size=20)),
    n_max=st.one_of(st.none(), st.integers(-(2**31), 2**31)),
)
def test_a_result_comes_back_as_it_was(mode: str | None, n_max: int | None) -> None:
    written = result(mode=mode, draft_n_max=n_max, effective={"draft-mtp": lengths(n_max)})
    line = encode_result(written)

    assert b"\n" not in line
    assert decode_result(line) == written


PLAN = {"argv": ["-m", "x"], "env": {"A": "b"}, "resolved_mode": "mtp", "reason": None}
words = st.one_of(st.none(), st.integers(), st.text(max_size=9), st.lists(st.text(max_size=9)))


@EXAMPLES
@given(
    answer=st.one_of(
        damaged(json.dumps(PLAN).encode()),
        st.binary(max_size=200),
        st.dictionaries(st.sampled_from([*PLAN, "colour"]), words).map(
            lambda value: json.dumps(value).encode()
        ),
    )
)
def test_what_a_program_answers(answer: bytes) -> None:
    subject = CommandSubject("command:x", ("x",))
    said = ""
    plan = None
    try:
        plan = subject._read(answer)
    except SubjectError as error:
        said = str(error)
    assert said.startswith("command:x") or isinstance(plan, LaunchPlan)
    if plan is not None:
        assert all(isinstance(word, str) and "\0" not in word for word in plan.argv)


def test_the_undamaged_texts_are_sound(tmp_path: Path) -> None:
    for name, text in {"b9246.toml": BUILD.encode(), "results.jsonl": RESULT}.items():
        (tmp_path / name).write_bytes(text)

    assert read_build(tmp_path / "b9246.toml").id == "b9246"
    assert [one.build for one in read_results([tmp_path / "results.jsonl"])] == ["b9246"]
    plan = CommandSubject("command:x", ("x",))._read(json.dumps(PLAN).encode())
    assert plan.argv == ("-m", "x")
    with pytest.raises(SubjectError):
        CommandSubject("command:x", ("x",))._read(b"{}")
