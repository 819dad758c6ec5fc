"""Presets and folders of models from another host, with tiny models in place of its own."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from harness.config.paths import entries, home, is_dir, is_file, working_directory
from harness.model import TinyModel
from harness.processes.loopback import HOST_VARIABLE, own_address

_SECTION: Final = re.compile(r"\s*\[(?P<name>.+)\]\s*")
_KEY: Final = re.compile(r"(?P<head>\s*(?P<key>[\w-]+)\s*=\s*)(?P<value>.*?)\s*")
_MODEL_KEYS: Final = frozenset({"model", "m", "LLAMA_ARG_MODEL"})
_REMOTE_KEYS: Final = frozenset(
    {"hf", "hfr", "hf-repo", "mu", "model-url", "dr", "docker-repo", "LLAMA_ARG_HF_REPO",
     "LLAMA_ARG_MODEL_URL"}
)  # fmt: skip
_DRAFT_KEYS: Final = frozenset({"md", "model-draft", "spec-draft-model"})
HOST_KEYS: Final = frozenset({"host", HOST_VARIABLE})
"""Where a server listens; in a configuration file that a build reads unasked they count."""
_LEFT_OUT_KEYS: Final = frozenset({"mmproj", "mm", "hf-file", "hff", "hf-token", "hft", "lora"})
_GGUF: Final = ".gguf"
CONFIG_FILE: Final = "llama.cpp/config.ini"
"""Under a user's configuration directory."""
CONFIG_PLACE: Final = f".config/{CONFIG_FILE}"
"""In the home of a launch."""


@dataclass(frozen=True, kw_only=True)
class PresetKey:
    """One key of a preset, in its section."""

    section: str
    key: str
    value: str


def fitted_preset(text: str, model: TinyModel) -> str:
    """The text of a preset with tiny models in place of its own; every other line as it is."""
    return "".join(_fitted(line, model) for line in text.splitlines(keepends=True))


def _fitted(line: str, model: TinyModel) -> str:
    found = _KEY.fullmatch(line)
    if found is None:
        return line
    end = line[len(line.rstrip("\r\n")) :]
    if found["key"] in _MODEL_KEYS:
        return f"{found['head']}{model.path}{end}"
    if found["key"] in _REMOTE_KEYS:
        return f"model = {model.path}{end}"
    if found["key"] in _DRAFT_KEYS and model.draft_path is not None:
        return f"{found['head']}{model.draft_path}{end}"
    if found["key"] in HOST_KEYS:
        return f"{found['head']}{own_address(found['value'])}{end}"
    return end if found["key"] in _LEFT_OUT_KEYS else line


def preset_keys(text: str) -> tuple[PresetKey, ...]:
    """Every key of a preset; those before the first section belong to none."""
    section, keys = "", []
    for line in text.splitlines():
        if line.lstrip().startswith(("#", ";")):
            continue
        if named := _SECTION.fullmatch(line):
            section = named["name"]
        elif found := _KEY.fullmatch(line):
            keys.append(PresetKey(section=section, key=found["key"], value=found["value"]))
    return tuple(keys)


def tiny_folder(folder: Path, model: TinyModel, name: str) -> Mapping[str, Path]:
    """What stands for a folder of models: the tiny model under each model file's name."""
    found = {}
    for entry in entries(folder):
        inner = entries(entry) if is_dir(entry) else [entry]
        for file in inner:
            if file.suffix == _GGUF:
                found[f"{name}/{file.relative_to(folder).as_posix()}"] = model.path
    return found


def user_config() -> Path | None:
    """The configuration file that builds read unasked since b10398, of this user or folder."""
    own = os.environ.get("XDG_CONFIG_HOME")
    homes = (home(), working_directory())
    places = [Path(own)] if own else []
    places += [Path(where, ".config") for where in homes if where is not None]
    return next((file for place in places if is_file(file := place / CONFIG_FILE)), None)


def keys_of(words: Sequence[str], files: Mapping[str, str]) -> Mapping[str, str]:
    """The keys of the preset that a command line names, with the last value of each.

    Args:
        words: The command line.
        files: Text that stands for what lies under a name.
    """
    for flag, value in pairwise(words):
        if flag == "--models-preset" and (value in files or is_file(Path(value))):
            text = files.get(value) or Path(value).read_text(encoding="utf-8", errors="replace")
            return {key.key: key.value for key in preset_keys(text)}
    return {}
