import hashlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gguf
import numpy as np
import pytest

from harness.config.gguf_header import read_metadata
from harness.errors import ModelError
from harness.gguf_models import ensure_models, file_for
from harness.gguf_models.models import MODELS, ModelFile
from harness.gguf_models.writer import FAVOURITE, write_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    ensure_models(path)
    return path


def files(directory: Path) -> dict[Path, tuple[int, int]]:
    return {
        path: (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file()
    }


def all_files() -> list[ModelFile]:
    return [file for model in MODELS.values() for file in model]


def test_models_that_load_requests_name(directory: Path) -> None:
    models = ensure_models(directory)
    assert set(models) == {
        *("tiny-llama", "tiny-draft", "tiny-moe"),
        *("tiny-mtp", "tiny-mtp-3b", "tiny-mtp-1b"),
    }
    for name, model in models.items():
        assert model.name == name
        assert model.path.is_file()
        assert model.path.name == f"{name}.gguf"
        assert model.has_mtp is name.startswith("tiny-mtp")
        assert (model.fallback_path is not None) is model.has_mtp
    assert models["tiny-llama"].draft_path == models["tiny-draft"].path
    assert models["tiny-draft"].draft_path is None


def test_sizes_stand_on_both_sides_of_3b(directory: Path) -> None:
    models = ensure_models(directory)
    assert models["tiny-mtp"].parameters > 3e9
    assert models["tiny-mtp-3b"].parameters == 3e9
    assert models["tiny-mtp-1b"].parameters < 3e9


def test_metadata_says_what_the_model_says(directory: Path) -> None:
    for model in ensure_models(directory).values():
        paths = [path for path in (model.path, model.fallback_path) if path]
        for path in paths:
            metadata = read_metadata(path)
            arch = metadata["general.architecture"]
            assert metadata["general.name"] == model.name
            assert metadata["general.parameter_count"] == model.parameters
            assert metadata.get(f"{arch}.nextn_predict_layers", 0) == int(model.has_mtp)


def test_present_and_valid_files_are_left_alone(directory: Path) -> None:
    before = files(directory)
    ensure_models(directory)
    assert files(directory) == before
    assert len(before) == len(all_files())


def test_reading_needs_neither_gguf_nor_numpy(directory: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.gguf_models import ensure_models; "
        f"ensure_models(Path({str(directory)!r})); "
        "print({'gguf', 'numpy'} & set(sys.modules))"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("damage", [b"", b"GGUF", b"x" * 1000])
def test_damaged_files_are_written_again(directory: Path, damage: bytes) -> None:
    path = ensure_models(directory)["tiny-draft"].path
    whole = path.read_bytes()
    path.write_bytes(damage)
    ensure_models(directory)
    assert path.read_bytes() == whole


def test_two_directories_hold_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    ensure_models(tmp_path)
    first = {p.relative_to(directory): p.read_bytes() for p in files(directory)}
    second = {p.relative_to(tmp_path): p.read_bytes() for p in files(tmp_path)}
    assert first == second


def test_concurrent_writers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: ensure_models(tmp_path), range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert len(files(tmp_path)) == len(all_files())
    assert not list(tmp_path.rglob(".*"))


def test_other_bytes_than_pinned_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.gguf_models.writer.FAVOURITE_LOGIT", 2.0)
    with pytest.raises(ModelError, match=r"tiny-llama.*other bytes than pinned"):
        ensure_models(tmp_path)
    assert files(tmp_path) == {}


def test_a_file_where_the_directory_should_be(tmp_path: Path) -> None:
    blocked = tmp_path / "models"
    blocked.write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot write .*LLAMA_HARNESS_CACHE") as caught:
        ensure_models(blocked)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", all_files(), ids=lambda r: f"{r.name}-{r.architecture.value}")
def test_bytes_are_the_pinned_ones_and_favour_one_token(file: ModelFile, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_model(file, path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    reader = gguf.GGUFReader(path)
    tokens = [
        bytes(reader.fields["tokenizer.ggml.tokens"].parts[i]).decode()
        for i in reader.fields["tokenizer.ggml.tokens"].data
    ]
    tensors = {t.name: t.data for t in reader.tensors}
    logits = tensors["output.weight"] @ np.ones(tensors["output.weight"].shape[1])
    assert tokens[int(np.argmax(logits))] == FAVOURITE
    assert sorted(logits)[-1] - sorted(logits)[-2] > 50
    assert (tensors["token_embd.weight"] == tensors["token_embd.weight"][0]).all()
    nextn = [name for name in tensors if ".nextn." in name]
    assert bool(nextn) is file.architecture.has_mtp


@pytest.mark.parametrize(
    ("token", "architecture"), [("draft-mtp", "qwen35"), ("mtp", "glm4moe"), (None, "glm4moe")]
)
def test_the_file_for_a_build(directory: Path, token: str | None, architecture: str) -> None:
    model = ensure_models(directory)["tiny-mtp-1b"]
    chosen = file_for(model, mtp_token=token)
    metadata = read_metadata(chosen.path)
    assert metadata["general.architecture"] == architecture
    assert metadata["general.name"] == chosen.name == model.name
    assert metadata["general.parameter_count"] == model.parameters == chosen.parameters


def test_a_model_without_mtp_has_one_file(directory: Path) -> None:
    model = ensure_models(directory)["tiny-llama"]
    assert file_for(model, mtp_token=None) == model
    assert file_for(model, mtp_token="draft-mtp") == model
