import sys
from pathlib import Path

import pytest

from harness.builds.container import container_arguments, container_options, port_of

ARGUMENTS = ["-m", "MODEL", "--host", "127.0.0.1", "--port", "8123", "--alias", "/no/file"]


def test_models_are_mounted_read_only_at_the_same_path(tmp_path: Path) -> None:
    model = tmp_path / "tiny.gguf"
    model.write_bytes(b"")
    options = container_options("/app/llama-server", ["-m", str(model), "--alias", "/no/file"], {})
    assert options["volumes"] == {str(tmp_path): {"bind": str(tmp_path), "mode": "ro"}}
    assert options["entrypoint"] == ["/app/llama-server"]


def test_only_the_servers_variables_go_in() -> None:
    environment = {"LLAMA_TRACE": "1", "GGML_NO_BACKTRACE": "1", "HOME": "/me", "PATH": "/bin"}
    options = container_options("/s", [], environment)
    assert options["environment"] == {"LLAMA_TRACE": "1", "GGML_NO_BACKTRACE": "1"}


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_the_port_is_on_loopback(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    options = container_options("/s", ARGUMENTS, {})
    if platform == "linux":
        assert options["network_mode"] == "host"
        assert container_arguments(ARGUMENTS, host_network=True) == ARGUMENTS
    else:
        assert options["ports"] == {"8123/tcp": ("127.0.0.1", 8123)}
        inside = container_arguments(ARGUMENTS, host_network=False)
        assert inside[3] == "0.0.0.0"
        assert inside[4:] == ARGUMENTS[4:]


def test_port_of() -> None:
    assert port_of(ARGUMENTS) == "8123"
    assert port_of(["--port"]) == ""
    assert port_of([]) == ""
