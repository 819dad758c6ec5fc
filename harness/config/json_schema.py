"""JSON Schemas of what the harness reads and writes, made from the types that do it."""

from collections.abc import Iterable
from typing import Any

import msgspec


def schema_of(types: Iterable[type], *, title: str, complete: bool = False) -> bytes:
    """The JSON Schema of a document that is any of some types.

    Args:
        types: One is enough.
        title: What the schema calls the document.
        complete: Every key is there, as it is in what the harness itself writes.
    """
    sides, definitions = msgspec.json.schema_components(types, ref_template="#/$defs/{name}")
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = definition["description"].partition("\n")[0]
        if complete and "properties" in definition:
            definition["required"] = list(definition["properties"])
            for value in definition["properties"].values():
                value.pop("default", None)
    shape: dict[str, Any] = {"oneOf": list(sides)} if len(sides) > 1 else dict(sides[0])
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        **shape,
        "$defs": definitions,
    }
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"
