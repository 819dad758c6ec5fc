"""Result lines: written one by one, read back as they were, torn ends told from damage."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.model import (
    Basis,
    CellResult,
    Check,
    DraftRange,
    Evidence,
    Failure,
    FailureKind,
    LoadRequest,
    Span,
    Verdict,
)
from harness.report.jsonl import JsonLinesWriter, decode_result, encode_result, read_results
from tests.unit.results import result


def rich(text: str, effective: Mapping[str, DraftRange] | None) -> CellResult:
    from dataclasses import replace

    return replace(
        result(effective=effective, status=Verdict.FAIL),
        request=LoadRequest(model=text, mode=None, extra_args=(text, "--x")),
        checks=(Check(name="starts", expected=text, observed=text, ok=False, argument=text),),
        witnesses=(
            Evidence(
                witness="log",
                basis=Basis.BEHAVIOUR,
                drafted={"draft-mtp": Span(at_least=1, at_most=2)},
                longest=Span(at_least=1, at_most=2),
                detail=text,
            ),
        ),
        witnessed_by={"draft-mtp": ("log", text)},
        failure=Failure(kind=FailureKind.ABORT, message=text, log_tail=(text,)),
    )


ranges = st.builds(DraftRange, n_min=st.none() | st.integers(0), n_max=st.none() | st.integers(0))


@given(text=st.text(), effective=st.none() | st.dictionaries(st.text(), ranges))
def test_a_result_is_one_line_and_reads_back_equal(
    text: str, effective: dict[str, DraftRange] | None
) -> None:
    one = rich(text, effective)
    line = encode_result(one)
    assert b"\n" not in line
    assert decode_result(line) == one


def test_what_lines_have_in_common_is_held_once() -> None:
    one, other = (decode_result(encode_result(rich("x", None))) for _ in range(2))
    assert one is not other
    assert one.witnesses[0] is other.witnesses[0]
    assert one.checks[0] is other.checks[0]
    assert one.witnessed_by is other.witnessed_by


def write(path: Path, *results: CellResult) -> None:
    writer = JsonLinesWriter(path)
    for one in results:
        writer.write(one)
    writer.close()


def test_each_line_is_there_before_the_next_cell(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "results.jsonl"
    writer = JsonLinesWriter(path)
    assert path.read_bytes() == b""
    for count in (1, 2):
        writer.write(result())
        assert path.read_bytes().count(b"\n") == count
    writer.close()
    assert list(read_results([path, path])) == [result()] * 4


def test_an_earlier_run_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write(path, result(), result())
    JsonLinesWriter(path).close()
    assert list(read_results([path])) == []


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    write(path, result(), result(build="b2"))
    path.write_bytes(path.read_bytes()[:-20])
    assert [one.build for one in read_results([path])] == ["b9246"]


@pytest.mark.parametrize("damage", [b"{}", b"nonsense", b'{"build": 3}', b"\xff"])
def test_damage_in_the_middle_is_told_with_its_line(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "results.jsonl"
    line = encode_result(result())
    path.write_bytes(line + b"\n\n" + damage + b"\n" + line + b"\n")
    with pytest.raises(UsageError, match=r"results\.jsonl:3: not a result line"):
        list(read_results([path]))


def test_files_that_cannot_be_read_or_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        list(read_results([tmp_path / "missing"]))
    with pytest.raises(UsageError, match="cannot be written"):
        JsonLinesWriter(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        JsonLinesWriter(tmp_path / "file" / "results.jsonl")


def test_a_result_without_room_leaves_the_others_whole(tmp_path: Path) -> None:
    """Half of the third result fits; the file then ends with the second."""
    if sys.platform == "win32":
        pytest.skip("Windows has no limit on the size of files")
    import resource
    import signal

    path = tmp_path / "results.jsonl"
    line = len(encode_result(result())) + 1
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = JsonLinesWriter(path)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * line + line // 2, allowed[1]))
        writer.write(result())
        writer.write(result())
        with pytest.raises(UsageError, match="cannot be written: File too large"):
            writer.write(result())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
        signal.signal(signal.SIGXFSZ, ignored)
        writer.close()
    assert path.read_bytes() == (encode_result(result()) + b"\n") * 2


RECORDED = Path(__file__).with_name("schema_1.jsonl")
"""Lines that versions before ``schema`` wrote: implementations as such, with one on and with none,
and then by setting."""

MTP = {"draft-mtp": DraftRange(n_min=0, n_max=5)}


def test_lines_of_schema_1_are_read() -> None:
    on, off, by_setting = read_results([RECORDED])
    assert on.effective == {"speculation": MTP}
    assert off.effective == {"speculation": {}}
    assert by_setting.effective == {
        "speculation": MTP,
        "context_per_slot": 512,
        "cache_type_k": "f16",
    }
    assert [one.drafts for one in (on, off, by_setting)] == [MTP, {}, MTP]
    assert {one.schema for one in (on, off, by_setting)} == {2}
    assert {one.setting for one in on.witnesses} == {"speculation"}
    assert (on.not_seen, on.silent) == ((), ())


def test_what_was_read_of_schema_1_is_written_as_schema_2(tmp_path: Path) -> None:
    old = tuple(read_results([RECORDED]))
    write(tmp_path / "new.jsonl", *old)
    assert b'"schema":1' not in (tmp_path / "new.jsonl").read_bytes()
    assert tuple(read_results([tmp_path / "new.jsonl"])) == old


def test_the_tries_of_a_flaky_line_of_schema_1_are_read_as_it_is() -> None:
    on, off, _ = (json.loads(line) for line in RECORDED.read_text("utf-8").splitlines())
    flaky = decode_result(json.dumps({**on, "attempts": [on, off]}).encode())
    assert [attempt.drafts for attempt in flaky.attempts] == [MTP, {}]


def test_a_server_that_was_not_seen_stays_unseen() -> None:
    (on, *_) = RECORDED.read_text("utf-8").splitlines()
    line = json.dumps({**json.loads(on), "effective": None}).encode()
    assert decode_result(line).effective is None


def test_a_line_of_a_later_schema_is_refused_and_not_misread(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    line = {**json.loads(encode_result(result())), "schema": 3}
    path.write_text(json.dumps(line) + "\n", encoding="utf-8")
    with pytest.raises(UsageError, match="it is of schema 3, and this version reads 2 and below"):
        list(read_results([path]))
