import struct
from pathlib import Path

import pytest

from harness.config.gguf_header import read_metadata
from harness.errors import ModelError
from harness.gguf_models import ensure_models
from harness.subjects.reference.model_facts import (
    ModelFacts,
    facts_from_metadata,
    facts_from_names,
    model_facts,
    size_in_name,
)


def test_facts_of_the_models(tmp_path: Path) -> None:
    for model in ensure_models(tmp_path).values():
        for path in (model.path, model.fallback_path):
            if path is not None:
                facts = model_facts("anything", path)
                assert facts == ModelFacts(has_mtp=model.has_mtp, parameters=model.parameters)


@pytest.mark.parametrize(
    ("metadata", "facts"),
    [
        ({}, ModelFacts(has_mtp=False, parameters=None)),
        (
            {"general.architecture": "qwen35", "qwen35.nextn_predict_layers": 1},
            ModelFacts(has_mtp=True, parameters=None),
        ),
        (
            {"general.architecture": "llama", "qwen35.nextn_predict_layers": 1},
            ModelFacts(has_mtp=False, parameters=None),
        ),
        (
            {"general.architecture": "glm4moe", "glm4moe.nextn_predict_layers": 0},
            ModelFacts(has_mtp=False, parameters=None),
        ),
        ({"general.size_label": "0.6B"}, ModelFacts(has_mtp=False, parameters=600_000_000)),
        (
            {"general.size_label": "4B", "general.parameter_count": 3_900_000_000},
            ModelFacts(has_mtp=False, parameters=3_900_000_000),
        ),
        (
            {"general.size_label": "large", "general.parameter_count": 0},
            ModelFacts(has_mtp=False, parameters=None),
        ),
    ],
)
def test_facts_from_metadata(metadata: dict[str, str | int], facts: ModelFacts) -> None:
    assert facts_from_metadata(metadata) == facts


@pytest.mark.parametrize(
    ("parameters", "small"),
    [(None, False), (2_999_999_999, True), (3_000_000_000, False), (4_000_000_000, False)],
)
def test_small_means_known_to_be_under_3b(parameters: int | None, small: bool) -> None:
    assert ModelFacts(has_mtp=True, parameters=parameters).is_small is small


@pytest.mark.parametrize(
    ("identifier", "file_name", "has_mtp"),
    [
        ("lab/Model-9B-MTP", "", True),
        ("lab/model-mtp-gguf", "", True),
        ("lab/Model-9B", "Model-9B-MtP-Q4_K_M.gguf", True),
        ("lab-MTP/Model-9B", "Model-9B.gguf", False),
        ("lab/Model-9B", "Model-9B.gguf", False),
        ("lab/smtp-model", "", False),
        ("lab/model-mtpx", "", False),
        ("model-mtp", "", True),
    ],
)
def test_the_marker_counts_in_the_name_only(identifier: str, file_name: str, has_mtp: bool) -> None:
    assert facts_from_names(identifier, file_name).has_mtp is has_mtp


def test_names_count_only_before_there_is_a_file(tmp_path: Path) -> None:
    assert model_facts("lab/Model-4B-MTP", tmp_path / "absent.gguf") == ModelFacts(
        has_mtp=True, parameters=4_000_000_000
    )
    plain = ensure_models(tmp_path)["tiny-llama"].path
    assert not model_facts("lab/Model-1B-MTP", plain).has_mtp
    assert model_facts("lab/Model-1B-MTP", plain).parameters == 8_000_000_000


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("4B", 4_000_000_000),
        ("Model-0.8B-Instruct", 800_000_000),
        ("500M", 500_000_000),
        ("8x7B", 56_000_000_000),
        ("1.2T", 1_200_000_000_000),
        ("Q4_K_M", None),
        ("model-v2", None),
        ("a3bc", None),
    ],
)
def test_size_in_name(name: str, parameters: int | None) -> None:
    assert size_in_name(name) == parameters


def header(*pairs: bytes, version: int = 3, count: int | None = None) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, 0, count or len(pairs)) + b"".join(pairs)


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def test_every_kind_of_value_is_read_or_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    numbers = text(b"n") + struct.pack("<IIQ3I", 9, 4, 3, 1, 2, 3)
    words = text(b"w") + struct.pack("<IIQ", 9, 8, 2) + text(b"a") + text(b"bc")
    nested = text(b"x") + struct.pack("<IIQ", 9, 9, 1) + struct.pack("<IQBB", 0, 2, 1, 2)
    flag = text(b"f") + struct.pack("<I?", 7, True)
    real = text(b"r") + struct.pack("<Id", 12, 0.5)
    word = text(b"s") + struct.pack("<I", 8) + text(b"end")
    path.write_bytes(header(numbers, words, nested, flag, real, word))
    assert read_metadata(path) == {"f": True, "r": 0.5, "s": "end"}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not start with GGUF"),
        (b"ELF", "does not start with GGUF"),
        (header(version=1), "version 1"),
        (header(text(b"k") + struct.pack("<I", 99)), "unknown type 99"),
        (header(text(b"k") + struct.pack("<IH", 4, 1)), "ends within"),
        (header(struct.pack("<Q", 2**40)), "string of"),
        (header(count=2), "ends within"),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError, match=said) as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)


def test_a_directory_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        model_facts("x", tmp_path)
