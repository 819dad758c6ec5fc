"""Parts of a page of the documentation that programs make, between marks in comments."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_PARTS: Final = re.compile(r"(?s)(<!-- (?P<name>\w+) -->\n).*?(<!-- end -->)")


def parts(page: str) -> Mapping[str, list[str]]:
    """The lines between the marks, by name."""
    found = _PARTS.finditer(page)
    return {one["name"]: one[0].splitlines()[1:-1] for one in found}


def write_parts(page: Path, made: Mapping[str, Sequence[str]]) -> None:
    """Put lines between the marks of a page; parts that are not made stay as they are."""

    def put(one: re.Match[str]) -> str:
        if one["name"] not in made:
            return one[0]
        return one[1] + "".join(f"{line}\n" for line in made[one["name"]]) + one[3]

    page.write_text(_PARTS.sub(put, page.read_text(encoding="utf-8")), encoding="utf-8")
