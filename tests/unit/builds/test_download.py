import hashlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from harness.builds.download import Patience, fetch_file, redacted
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.terminal import Progress
from tests.unit.builds.builds_bench import Reply, Web

BODY = bytes(range(256)) * 5000
DIGEST = hashlib.sha256(BODY).hexdigest()


def fetch(url: str, target: Path, patience: Patience, sha256: str | None = DIGEST) -> str:
    with requests.Session() as session:
        return fetch_file(
            session, url, target, sha256=sha256, progress=Progress(), patience=patience
        )


def test_a_file_arrives_whole_and_checked(web: Web, tmp_path: Path, patience: Patience) -> None:
    target = tmp_path / "new" / "a.tar.gz"
    assert fetch(web.serve("/a", BODY), target, patience, None) == DIGEST
    assert target.read_bytes() == BODY
    assert not list(target.parent.glob("*.part"))


def test_a_cut_body_is_resumed_where_it_ended(web: Web, tmp_path: Path, patience: Patience) -> None:
    url = web.serve("/a", Reply(BODY, cut=1_000_000), Reply(BODY))
    fetch(url, tmp_path / "a", patience)
    assert (tmp_path / "a").read_bytes() == BODY
    start = web.requests[1].headers["range"]
    assert start.startswith("bytes=")
    assert 0 < int(start[6:-1]) <= 1_000_000


def test_a_server_without_ranges_starts_again(web: Web, tmp_path: Path, patience: Patience) -> None:
    url = web.serve("/a", Reply(BODY, cut=600_000), Reply(BODY, ranges=False))
    fetch(url, tmp_path / "a", patience)
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_part_of_a_killed_process_is_resumed(
    web: Web, tmp_path: Path, patience: Patience
) -> None:
    (tmp_path / "a.part").write_bytes(BODY[:999])
    fetch(web.serve("/a", BODY), tmp_path / "a", patience)
    assert web.requests[0].headers["range"] == "bytes=999-"
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_part_longer_than_the_file_is_dropped(
    web: Web, tmp_path: Path, patience: Patience
) -> None:
    (tmp_path / "a.part").write_bytes(BODY + b"more")
    fetch(web.serve("/a", BODY), tmp_path / "a", patience)
    assert (tmp_path / "a").read_bytes() == BODY


def test_a_body_that_is_always_cut_is_truncated(
    web: Web, tmp_path: Path, patience: Patience
) -> None:
    url = web.serve("/a", Reply(BODY, cut=100, ranges=False))
    with pytest.raises(SourceUnavailableError, match="only a part arrived in 5 tries"):
        fetch(url, tmp_path / "a", patience)
    assert not (tmp_path / "a").exists()


def test_wrong_bytes_are_not_kept(web: Web, tmp_path: Path, patience: Patience) -> None:
    url = web.serve("/a", BODY + b"x")
    with pytest.raises(DigestMismatchError, match=f"pinned is {DIGEST}"):
        fetch(url, tmp_path / "a", patience)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504, 429])
def test_a_flaky_server_is_asked_again(
    web: Web, tmp_path: Path, patience: Patience, status: int
) -> None:
    url = web.serve("/a", Reply(status=status), Reply(status=status), Reply(BODY))
    fetch(url, tmp_path / "a", patience)
    assert len(web.requests) == 3


def test_waits_grow_and_obey_retry_after(
    web: Web, tmp_path: Path, slept: tuple[list[float], Callable[[float], None]]
) -> None:
    waits, sleep = slept
    bad = Reply(status=503)
    url = web.serve(
        "/a", bad, bad, bad, Reply(status=503, headers={"Retry-After": "7"}), Reply(BODY)
    )
    fetch(url, tmp_path / "a", Patience(tries=6, first_wait_s=1, sleep=sleep))
    assert 7.0 in waits
    own = [wait for wait in waits if wait != 7.0]
    assert own[0] < own[1] < own[2]


def test_a_server_that_asks_for_an_hour_ends_the_tries(
    web: Web, tmp_path: Path, patience: Patience
) -> None:
    url = web.serve("/a", Reply(status=429, headers={"Retry-After": "3600"}))
    with pytest.raises(SourceUnavailableError, match="429"):
        fetch(url, tmp_path / "a", patience)
    assert len(web.requests) == 1


def test_404_is_final_and_named(web: Web, tmp_path: Path, patience: Patience) -> None:
    with pytest.raises(SourceUnavailableError, match=r"/gone: HTTP status 404") as caught:
        fetch(f"{web.url}/gone", tmp_path / "a", patience)
    assert len(web.requests) == 1
    assert "\n" not in str(caught.value)


def test_redirects_are_followed(web: Web, tmp_path: Path, patience: Patience) -> None:
    there = web.serve("/there", BODY)
    url = web.serve("/here", Reply(status=302, headers={"Location": there}))
    fetch(url, tmp_path / "a", patience)
    assert web.paths() == ["/here", "/there"]


def test_no_network_is_one_line(tmp_path: Path, patience: Patience) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:secret@127.0.0.1:{taken.getsockname()[1]}/a?token=secret"
        with pytest.raises(
            SourceUnavailableError, match="cannot be reached after 5 tries"
        ) as caught:
            fetch(url, tmp_path / "a", patience)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_redacted() -> None:
    assert redacted("https://u:p@host:8443/a/b?x=1#y") == "https://host:8443/a/b"
