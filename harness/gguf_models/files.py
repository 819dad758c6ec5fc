"""Model files on disk: written once, checked by digest, safe with concurrent writers."""

import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from harness.errors import ModelError
from harness.gguf_models.recipes import MODELS, ModelRecipe, Recipe
from harness.model import TinyModel


def ensure_models(directory: Path) -> Mapping[str, TinyModel]:
    """All models by name; files that are missing or damaged are written into ``directory``.

    A file lies in a folder that carries its digest, so another version of the harness neither
    overwrites nor reuses it. ``gguf`` and numpy are imported only in order to write.

    Raises:
        ModelError: A file cannot be read or written, or came out with other bytes than pinned.
    """
    return {name: _ensure_model(model, directory) for name, model in MODELS.items()}


def file_for(model: TinyModel, *, mtp_token: str | None) -> TinyModel:
    """The model with the file that a build loads, given the MTP token that the build offers.

    Only builds with ``draft-mtp`` (ggml-org/llama.cpp PR 22673) load a qwen35 file with an MTP
    block; all others get the ``glm4moe`` file with the same name, size and head. b9246 and b10435
    load that one too but abort when they draft with it.
    """
    if model.fallback_path is None or mtp_token == "draft-mtp":
        return model
    return replace(model, path=model.fallback_path)


def _ensure_model(model: ModelRecipe, directory: Path) -> TinyModel:
    draft = MODELS[model.draft].file if model.draft else None
    return TinyModel(
        name=model.file.name,
        path=_ensure_file(model.file, directory),
        has_mtp=model.file.has_mtp,
        parameters=model.file.parameters,
        draft_path=_ensure_file(draft, directory) if draft else None,
        fallback_path=_ensure_file(model.fallback, directory) if model.fallback else None,
    )


def _ensure_file(recipe: Recipe, directory: Path) -> Path:
    folder = directory / f"{recipe.name}-{recipe.architecture.value}-{recipe.sha256[:12]}"
    path = folder / f"{recipe.name}.gguf"
    try:
        if not _has_digest(path, recipe.sha256):
            _write(recipe, path)
    except OSError as error:
        raise ModelError(
            f"model {recipe.name}: cannot write {path}: {error.strerror or error}; "
            "choose another cache directory with LLAMA_HARNESS_CACHE"
        ) from error
    return path


def _has_digest(path: Path, sha256: str) -> bool:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return False
    return hashlib.sha256(data).hexdigest() == sha256


def _write(recipe: Recipe, path: Path) -> None:
    from harness.gguf_models.writer import write_model

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=path.parent) as scratch:
        fresh = Path(scratch, path.name)
        write_model(recipe, fresh)
        if not _has_digest(fresh, recipe.sha256):
            raise ModelError(
                f"model {recipe.name}: the installed gguf package writes other bytes than pinned "
                f"({recipe.sha256[:12]}); install the gguf version this harness was released with"
            )
        try:
            fresh.replace(path)
        except PermissionError:
            # Windows: another process has the same file open, so it is there already.
            if not _has_digest(path, recipe.sha256):
                raise
