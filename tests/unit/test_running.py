"""Programs that are run to their end."""

import sys
import threading
import time
from pathlib import Path
from typing import IO

import pytest

from harness.errors import SourceUnavailableError
from harness.processes.running import CancelledError, ask, ask_server, run_program
from tests.unit.gone import is_gone

SLEEPER = "[sys.executable, '-S', '-c', 'import time; time.sleep(120)']"


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", f"import os, subprocess, sys, time\n{code}"]


def test_both_streams_and_the_status_are_told_and_input_is_read() -> None:
    answer = ask(
        python("sys.stdout.write('out ' + sys.stdin.read()); sys.exit('\\udcff \\r\\nerr')"),
        timeout_s=60,
        given=b"in",
    )
    assert (answer.returncode, answer.stdout, answer.raw) == (1, "out in", b"out in")
    assert answer.stderr.splitlines()[-1] == "err"


def test_merged_streams_come_in_the_order_in_which_they_were_written() -> None:
    code = "for each in (1, 2), (1, 3): [os.write(number, b'%d' % number) for number in (1, 2)]"
    answer = ask(python(code), timeout_s=60, merged=True)
    assert (answer.stdout, answer.stderr) == ("1212", "")


def test_what_holds_the_output_open_does_not_hold_up_and_is_ended() -> None:
    started = time.monotonic()
    answer = ask(python(f"print(subprocess.Popen({SLEEPER}).pid)"), timeout_s=60)
    assert time.monotonic() - started < 30
    if sys.platform != "win32":
        assert is_gone(int(answer.stdout))


def test_a_program_whose_time_is_up_ends_with_all_that_it_started(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    code = (
        f"child = subprocess.Popen({SLEEPER}, start_new_session=True)\n"
        f"open({str(tmp_path / 'new')!r}, 'w').write(str(child.pid))\n"
        f"os.replace({str(tmp_path / 'new')!r}, {str(told)!r})\n"
        "time.sleep(120)"
    )

    def watch(*_: IO[bytes]) -> None:
        if told.exists():
            raise CancelledError

    with pytest.raises(TimeoutError, match="timed out after"):
        ask(python("time.sleep(120)"), timeout_s=0.1)
    with pytest.raises(CancelledError):
        ask(python(code), timeout_s=60, watch=watch)
    assert is_gone(int(told.read_text(encoding="utf-8")))


@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program on Windows")
def test_a_server_that_is_asked_leaves_nothing_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = Path("llama-server")
    server.write_text('#!/bin/sh\necho "$1 in $PWD"; : > core\n', encoding="utf-8")
    server.chmod(0o755)
    question, _, place = ask_server(server, "--help", env={}, timeout_s=60).stdout.split()
    assert question == "--help"
    assert list(tmp_path.iterdir()) == [tmp_path / "llama-server"]
    assert not Path(place).exists()


def test_lines_are_told_as_they_come(tmp_path: Path) -> None:
    lines: list[str] = []
    cancelled = threading.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        if line == "two":
            cancelled.set()

    code = "for word in 'one', 'two', 'three': print(word, flush=True)"
    with pytest.raises(CancelledError):
        run_program(
            python(f"{code}\ntime.sleep(120)"),
            directory=tmp_path,
            cancelled=cancelled,
            on_line=on_line,
        )
    assert lines[:2] == ["one", "two"]
    lines.clear()
    done = run_program(
        python(code), directory=tmp_path, cancelled=threading.Event(), on_line=lines.append
    )
    assert lines == done.stdout.splitlines() == ["one", "two", "three"]


def test_what_cannot_be_started_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    with pytest.raises(SourceUnavailableError, match="absent: cannot be started: "):
        run_program([absent], directory=tmp_path, cancelled=threading.Event())
