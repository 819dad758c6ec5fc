from pathlib import Path

import pytest

from harness.builds.container import (
    container_arguments,
    container_options,
    named_paths,
    port_of,
    server_variables,
)

ARGUMENTS = ["-m", "MODEL", "--host", "127.0.0.1", "--port", "8123", "--alias", "/no/file"]


def mounted(options: dict[str, object]) -> list[str]:
    mounts = options["mounts"]
    assert isinstance(mounts, list)
    for mount in mounts:
        assert mount == {
            "Type": "bind",
            "Source": mount["Target"],
            "Target": mount["Target"],
            "ReadOnly": True,
        }
    return [mount["Source"] for mount in mounts]


def test_files_are_mounted_read_only_at_the_same_path(tmp_path: Path) -> None:
    model, draft = tmp_path / "tiny: one.gguf", tmp_path / "draft.gguf"
    model.write_bytes(b"")
    draft.write_bytes(b"")
    environment = {"LLAMA_ARG_MODEL_DRAFT": str(draft), "HOME": str(tmp_path)}
    options = container_options(["-m", str(model), "--alias", "/no/file"], environment, "host")
    assert mounted(options) == [str(model), str(draft)]


def test_a_split_model_comes_whole_and_the_root_directory_never(tmp_path: Path) -> None:
    parts = [tmp_path / f"big-0000{number}-of-00002.gguf" for number in (1, 2)]
    for part in (*parts, tmp_path / "big-00001-of-00003.gguf"):
        part.write_bytes(b"")
    assert named_paths(["-m", str(parts[0]), "--api-prefix", "/"]) == [str(each) for each in parts]


def test_only_the_servers_variables_go_in() -> None:
    environment = {
        "LLAMA_TRACE": "1",
        "LLAMA_HARNESS_CACHE": "/cache",
        "GGML_NO_BACKTRACE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HOME": "/me",
        "PATH": "/bin",
    }
    wanted = ["LLAMA_TRACE", "GGML_NO_BACKTRACE", "CUDA_VISIBLE_DEVICES"]
    assert server_variables(environment) == wanted
    options = container_options(["--host", "127.0.0.1"], environment, "host")
    assert options["environment"] == {name: environment[name] for name in wanted}


def test_an_images_own_variables_do_not_reach_the_server() -> None:
    """Upstream's images say ``LLAMA_ARG_HOST=0.0.0.0``, of which a server with ``--host`` warns."""
    unset = ["LLAMA_ARG_HOST", "LLAMA_ARG_N_PARALLEL"]
    options = container_options(ARGUMENTS, {"LLAMA_ARG_N_PARALLEL": "2"}, "host", unset)
    assert options["environment"] == {"LLAMA_ARG_HOST": None, "LLAMA_ARG_N_PARALLEL": "2"}


@pytest.mark.parametrize(
    ("network", "environment", "listens_on"),
    [
        ("host", {}, "127.0.0.1"),
        ("host", {"LLAMA_ARG_HOST": "127.0.0.2"}, "127.0.0.2"),
        ("published", {}, "0.0.0.0"),
        ("published", {"LLAMA_ARG_HOST": "127.0.0.1"}, "0.0.0.0"),
    ],
)
def test_a_server_that_is_not_told_where_to_listen(
    network: str, environment: dict[str, str], listens_on: str
) -> None:
    options = container_options([], environment, network, ["LLAMA_ARG_HOST"])  # type: ignore[arg-type]
    assert options["environment"] == {"LLAMA_ARG_HOST": listens_on}


def test_the_port_is_on_loopback() -> None:
    assert container_options(ARGUMENTS, {}, "host")["network_mode"] == "host"
    assert container_arguments(ARGUMENTS, "host") == ARGUMENTS
    options = container_options(ARGUMENTS, {}, "published")
    assert options["ports"] == {"8123/tcp": ("127.0.0.1", 8123)}
    inside = container_arguments(ARGUMENTS, "published")
    assert inside[3] == "0.0.0.0"
    assert inside[:3] + inside[4:] == ARGUMENTS[:3] + ARGUMENTS[4:]


def test_port_of() -> None:
    assert port_of(ARGUMENTS, {}) == "8123"
    assert port_of(ARGUMENTS, {"LLAMA_ARG_PORT": "9"}) == "8123"
    assert port_of([], {"LLAMA_ARG_PORT": "9"}) == "9"
    assert port_of(["--port"], {}) == ""
    assert port_of([], {}) == ""
