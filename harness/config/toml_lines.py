"""Where in a TOML text a field stands, for error messages."""

import re


def line_of_field(text: str, field: str) -> int:
    """Return the 1-based line of a field such as ``sources[1].sha256`` in TOML text.

    Where the field itself is missing this is the line of the table it belongs to.
    """
    wanted = field.replace("[...]", "")
    table, best, counts = "", 1, dict[str, int]()
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if header := re.fullmatch(r"(\[\[?)\s*([\w.\"-]+)\s*\]\]?\s*(#.*)?", line):
            table = header[2]
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = f"{table}[{counts[table]}]"
            if _leads_to(table, wanted):
                best = number
        elif key := re.match(r"([\w\"-]+)\s*=", line):
            name = f"{table}.{key[1]}".lstrip(".")
            if _leads_to(name, wanted):
                best = number
    return best


def _leads_to(name: str, wanted: str) -> bool:
    return wanted == name or wanted.startswith((f"{name}.", f"{name}["))
