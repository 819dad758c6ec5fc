"""Model files on disk: written once, checked by digest, safe with concurrent writers."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.errors import ModelError
from harness.gguf_models.models import DRAFT_MODEL, MODELS, ModelFile
from harness.model import TinyModel


def ensure_models(directory: Path) -> Mapping[str, TinyModel]:
    """All models by name; files that are missing or damaged are written into ``directory``.

    A file lies in a folder that carries its digest, so another version of the harness neither
    overwrites nor reuses it. ``gguf`` and numpy are imported only in order to write.

    Raises:
        ModelError: A file cannot be read or written, or came out with other bytes than pinned.
    """
    return {name: _ensure_model(name, directory) for name in MODELS}


def file_for(model: TinyModel, *, mtp_token: str | None) -> TinyModel:
    """The model with the file that a build loads, given the MTP token that the build offers.

    Only builds with ``draft-mtp`` (ggml-org/llama.cpp PR 22673) load a qwen35 file with an MTP
    block; all others get the ``glm4moe`` file with the same name, size and head. b9246 and b10435
    load that one too but abort when they draft with it.
    """
    if model.fallback_path is None or mtp_token == "draft-mtp":
        return model
    return replace(model, path=model.fallback_path)


def _ensure_model(name: str, directory: Path) -> TinyModel:
    file, *fallbacks = MODELS[name]
    path, *others = (_ensure_file(one, directory) for one in (file, *fallbacks))
    draft = None if name == DRAFT_MODEL else _ensure_file(MODELS[DRAFT_MODEL][0], directory)
    return TinyModel(
        name=name,
        path=path,
        has_mtp=file.has_mtp,
        parameters=file.parameters,
        draft_path=draft,
        fallback_path=others[0] if others else None,
    )


def _ensure_file(file: ModelFile, directory: Path) -> Path:
    folder = directory / f"{file.name}-{file.architecture.value}-{file.sha256[:12]}"
    path = folder / f"{file.name}.gguf"
    try:
        if not _has_digest(path, file.sha256):
            _write(file, path)
    except OSError as error:
        raise ModelError(
            f"model {file.name}: cannot write {path}: {error.strerror or error}; "
            "choose another cache directory with LLAMA_HARNESS_CACHE"
        ) from error
    return path


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(data).hexdigest() == sha256


def _write(file: ModelFile, path: Path) -> None:
    from harness.gguf_models.writer import write_model

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        fresh = Path(scratch, path.name)
        write_model(file, fresh)
        if not _has_digest(fresh, file.sha256):
            raise ModelError(
                f"model {file.name}: the installed gguf package writes other bytes than pinned "
                f"({file.sha256[:12]}); install the gguf version this harness was released with"
            )
        try:
            fresh.replace(path)
        except PermissionError:
            # Windows: another process has the same file open, so it is there already.
            if not _has_digest(path, file.sha256):
                raise
