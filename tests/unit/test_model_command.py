from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import EXIT_OK, EXIT_USAGE


def test_the_path_of_a_tiny_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path))
    assert main(["model", "tiny-llama"]) == EXIT_OK
    path = Path(capsys.readouterr().out.rstrip("\n"))
    assert path.is_relative_to(tmp_path)
    assert path.read_bytes()[:4] == b"GGUF"
    assert main(["model"]) == EXIT_OK
    assert {"tiny-llama", "tiny-mtp"} <= set(capsys.readouterr().out.split())
    assert main(["model", "big"]) == EXIT_USAGE
    assert "there are tiny-llama" in capsys.readouterr().err
