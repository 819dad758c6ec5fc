"""A server's output: in order, whole, and bounded whatever it prints."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO

from harness.server.log import (
    HEAD_CHARACTERS,
    HEAD_LINES,
    MAX_LINE_BYTES,
    TAIL_CHARACTERS,
    TAIL_LINES,
    ServerLog,
)


@contextmanager
def written_by() -> Iterator[tuple[IO[bytes], ServerLog]]:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as pen:
        log = ServerLog(os.fdopen(reading, "rb", buffering=0))
        try:
            yield pen, log
        finally:
            pen.close()
            log.close()


def whole(*chunks: bytes) -> list[str]:
    with written_by() as (pen, log):
        for chunk in chunks:
            pen.write(chunk)
    return log.lines()


def test_lines_in_order_with_a_partial_last_one() -> None:
    assert whole(b"one\ntw", b"o\r\n\nlast") == ["one", "two", "", "last"]


def test_bytes_that_are_no_text_are_kept_readable() -> None:
    assert whole(b"\xff\xfe caf\xc3\xa9\n") == ["\ufffd\ufffd café"]


def test_tail_leaves_out_empty_lines() -> None:
    with written_by() as (pen, log):
        pen.write(b"a\nb\n\n  \nc\n")
    assert log.tail(2) == ("b", "c")


def test_an_endless_log_keeps_its_ends() -> None:
    count = HEAD_LINES + TAIL_LINES + 500
    lines = whole(b"".join(b"%d\n" % number for number in range(count)))
    assert lines[:2] == ["0", "1"]
    assert lines[HEAD_LINES] == "[... 500 lines not kept ...]"
    assert lines[-1] == str(count - 1)
    assert len(lines) == HEAD_LINES + TAIL_LINES + 1


def test_a_line_without_end_is_cut_and_takes_bounded_memory() -> None:
    with written_by() as (pen, log):
        for _ in range(600):
            pen.write(b"x" * 65_536)
        pen.write(b"\nthe end\n")
    lines = log.lines()
    assert lines[-1] == "the end"
    assert max(map(len, lines)) <= MAX_LINE_BYTES
    assert sum(map(len, lines)) <= HEAD_CHARACTERS + TAIL_CHARACTERS + 100


def test_long_lines_fill_the_head_by_size() -> None:
    line = b"y" * (MAX_LINE_BYTES - 1) + b"\n"
    lines = whole(*[line * 4] * 800)
    assert "lines not kept" in " ".join(line for line in lines if line.startswith("["))
    assert sum(map(len, lines)) <= HEAD_CHARACTERS + TAIL_CHARACTERS + 100


def test_waiting_sees_a_line_as_it_comes() -> None:
    with written_by() as (pen, log):
        pen.write(b"first\nready\nmore\n")
        assert eventually(lambda: len(log.lines()) == 3)
        assert log.wait_for(lambda line: line == "ready", after=0, timeout_s=60) == 2
        assert log.wait_for(lambda line: line == "ready", after=2, timeout_s=0.05) == 3


def test_waiting_ends_with_the_output_and_with_the_time() -> None:
    with written_by() as (pen, log):
        began = time.monotonic()
        assert log.wait_for(bool, after=0, timeout_s=0.05) == 0
        assert not log.closed
        pen.close()
        assert log.wait_for(bool, after=0, timeout_s=60) == 0
        assert time.monotonic() - began < 30
        assert log.closed


def test_closing_does_not_wait_for_whoever_else_holds_the_pipe() -> None:
    reading, writing = os.pipe()
    held = os.dup(writing)
    log = ServerLog(os.fdopen(reading, "rb", buffering=0))
    os.write(writing, b"words\n")
    os.close(writing)
    began = time.monotonic()
    log.close(0.1)
    assert time.monotonic() - began < 10
    assert not log.closed
    os.close(held)
    log.close()
    assert log.lines() == ["words"]


def eventually(happens: Callable[[], bool], within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while not happens():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
