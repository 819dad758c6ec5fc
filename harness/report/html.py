"""What every page is made with: its templates, and data that may stand inside it."""

import json
from pathlib import Path
from typing import Final

import msgspec

_TEMPLATES: Final = Path(__file__).with_name("templates")


def render_template(name: str, *, title: str, data: object) -> str:
    """A page with its data in it.

    Args:
        name: Of the template.
        title: The page's heading.
        data: What its scripts show.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(title=title, data=data, embedded=_embedded(data))


def _embedded(data: object) -> str:
    """JSON that may stand inside a ``script`` element, whatever a log line holds."""
    text = json.dumps(msgspec.to_builtins(data), separators=(",", ":"), ensure_ascii=False)
    return (
        text.replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )
