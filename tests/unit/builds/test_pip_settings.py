from pathlib import Path

import pytest

from harness.builds.pip_settings import DEFAULT_INDEX, configuration_files, read_pip_settings
from harness.errors import UsageError


def conf(directory: Path, name: str, text: str) -> Path:
    file = directory / name
    file.write_text(text, encoding="utf-8")
    return file


def test_nothing_configured_is_the_public_index() -> None:
    settings = read_pip_settings({}, files=())
    assert settings.indexes == (DEFAULT_INDEX,)
    assert settings.proxy is None
    assert settings.ca_bundle is None


def test_files_then_sections_then_variables(tmp_path: Path) -> None:
    user = conf(
        tmp_path,
        "user.conf",
        "[global]\nindex-url = https://user/simple\ntimeout = 7\ncert = /user.pem\n"
        "[download]\ntimeout = 9\n",
    )
    site = conf(
        tmp_path,
        "site.conf",
        "[global]\nindex_url = https://site/simple\ntimeout = 8\n"
        "extra-index-url =\n    file:///extra/one\n    https://two/simple\n"
        "trusted-host = a b:8080\n",
    )
    settings = read_pip_settings(
        {"PIP_CERT": "/variable.pem", "PIP_PROXY": "http://proxy:3128", "PIP_RETRIES": "2"},
        files=(user, site),
    )
    assert settings.indexes == ("https://site/simple", "file:///extra/one", "https://two/simple")
    assert settings.timeout_s == 9, "a command's own section beats [global] of any file"
    assert settings.ca_bundle == "/variable.pem"
    assert settings.proxy == "http://proxy:3128"
    assert settings.trusted_hosts == ("a", "b:8080")
    assert settings.retries == 2


def test_no_index_leaves_only_find_links() -> None:
    settings = read_pip_settings(
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "/wheels", "PIP_EXTRA_INDEX_URL": "https://x/"},
        files=(),
    )
    assert settings.indexes == ()
    assert settings.find_links == ("/wheels",)


def test_config_file_variable_and_its_off_switch(tmp_path: Path) -> None:
    import os

    own = conf(tmp_path, "own.conf", "[global]\nclient-cert = /me.pem\n")
    assert configuration_files({"PIP_CONFIG_FILE": str(own)})[-1] == own
    assert configuration_files({"PIP_CONFIG_FILE": os.devnull}) == ()
    settings = read_pip_settings({"PIP_CONFIG_FILE": str(own)})
    assert settings.client_certificate == "/me.pem"


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    broken = conf(tmp_path, "pip.conf", "index-url = x\n")
    with pytest.raises(UsageError, match=r"pip\.conf"):
        read_pip_settings({}, files=(broken,))
    with pytest.raises(UsageError, match="soon"):
        read_pip_settings({"PIP_TIMEOUT": "soon"}, files=())


def test_reads_what_pip_itself_reads(tmp_path: Path) -> None:
    """The same files and variables as ``pip config list`` shows, where pip is there."""
    import ast
    import os
    import subprocess
    import sys

    pytest.importorskip("pip")
    own = conf(tmp_path, "own.conf", "[global]\nproxy = http://p:1\ntrusted-host = h\n")
    env = {**os.environ, "PIP_CONFIG_FILE": str(own), "PIP_TIMEOUT": "21"}
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    theirs = {
        name.split(".", 1)[1]: ast.literal_eval(value)
        for name, _, value in (line.partition("=") for line in listed.splitlines())
    }
    ours = read_pip_settings(env)
    assert theirs["proxy"] == ours.proxy
    assert theirs["trusted-host"].split() == list(ours.trusted_hosts)
    assert float(theirs["timeout"]) == ours.timeout_s
    assert theirs.get("extra-index-url", "").split() == [
        each for each in ours.indexes if each != theirs.get("index-url", DEFAULT_INDEX)
    ]
    assert theirs.get("find-links", "").split() == list(ours.find_links)
    assert theirs.get("cert") == ours.ca_bundle
