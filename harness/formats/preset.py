"""Preset files of a llama-server that runs several models (``--models-preset``)."""

import re
from typing import Final

from harness.formats.command_line import PlacedLine
from harness.formats.document import Contents, Document
from harness.formats.places import Word
from harness.formats.traced import Traced

LOOKED_FOR: Final = "a preset of models ([MODEL] with model = or hf-repo =)"

_SECTION: Final = re.compile(r"(?m)^[ \t]*\[[^\]\n]+\][ \t]*\r?$")
_KEYS: Final = re.compile(
    r"(?m)^[ \t]*(?:model|m|hf|hfr|hf-repo|hf_repo|c|ctx-size|ctx_size|ngl|n-gpu-layers|jinja"
    r"|temp|np|parallel|mmproj|fa|flash-attn|load-on-startup|LLAMA_ARG_\w+)[ \t]*="
)
_OTHER_LINE: Final = re.compile(r"(?m)^[ \t]*(?![\[#;\s])[^=\n]+$")


def recognises(document: Document) -> bool:
    """Whether it has sections and nothing in them but settings, some of them of a server's."""
    text = document.text
    return bool(_SECTION.search(text) and _KEYS.search(text) and not _OTHER_LINE.search(text))


def read(document: Document) -> Contents:
    """The server that reads it."""
    name = document.path.name if document.path else document.origin
    words = (Word(Traced.made("--models-preset")), Word(Traced.made(name)))
    # Who names the file may stand in another directory.
    files = {name: document.text}
    return Contents(lines={"": PlacedLine(words=words, files=files)}, unread={})
