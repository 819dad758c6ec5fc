"""A summary as Markdown, ready to paste into an issue."""

import shlex
from pathlib import Path
from typing import Final

from harness.bisect.summary import Summary

_TEMPLATES: Final = Path(__file__).with_name("templates")


def write_markdown(summary: Summary) -> str:
    """The whole report; ends with a line break."""
    import jinja2
    import msgspec

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(code=_code, cell=_cell, join_words=shlex.join)
    return environment.get_template("answer.md.j2").render(msgspec.structs.asdict(summary))


def _code(text: str) -> str:
    return f"`{text.replace('`', chr(39))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
