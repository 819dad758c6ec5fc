"""What ``${NAME%…}``, ``${NAME/…}`` and ``$((…))`` make of values."""

import ast
import operator
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Final

LONGEST: Final = 4096
"""Characters of a value that is looked at."""

_SUM: Final = 200
"""Characters of a calculation that is looked at."""

_LARGEST: Final = 1 << 62


def changed(value: str, operation: str) -> str | None:
    """A value after ``%``, ``##``, ``/``, ``^^`` and the like; None for what is not known here."""
    if len(value) > LONGEST:
        return None
    if change := re.fullmatch(r"(%%?|##?)(.+)", operation, re.DOTALL):
        return _trimmed(value, change[1], change[2])
    if change := re.fullmatch(r"(//?)([^/*?\[$]+)(?:/([^$]*))?", operation, re.DOTALL):
        return value.replace(change[2], change[3] or "", -1 if change[1] == "//" else 1)
    if operation in {",,", "^^"}:
        return value.lower() if operation == ",," else value.upper()
    if change := re.fullmatch(r":\s*(\d{1,4})(?::(\d{1,4}))?", operation):
        start = int(change[1])
        return value[start : start + int(change[2])] if change[2] else value[start:]
    return None


def _trimmed(value: str, how: str, pattern: str) -> str | None:
    if re.search(r"[$`\"']", pattern):
        return None
    lengths = range(len(value) + 1)
    for length in lengths if len(how) == 1 else reversed(lengths):
        part = value[len(value) - length :] if how[0] == "%" else value[:length]
        if fnmatchcase(part, pattern):
            return value[: len(value) - length] if how[0] == "%" else value[length:]
    return value


_OPERATORS: Final[dict[type, Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: lambda a, b: int(a / b),
    ast.Mod: lambda a, b: a - b * int(a / b),
}


def calculated(text: str, lookup: Callable[[str], str | None]) -> int | None:
    """The number that ``$((…))`` gives; None where it takes more than this knows."""

    def number(match: re.Match[str]) -> str:
        value = lookup(match[1])
        return value if value is not None and value.isdigit() else "?"

    filled = re.sub(r"\$?\{?\b([A-Za-z_]\w*)\b\}?", number, text[: _SUM + 1])
    if len(filled) > _SUM or not re.fullmatch(r"[\d\s+\-*/%()]+", filled) or "**" in filled:
        return None
    try:
        tree = ast.parse(filled.strip().replace("/", "//"), mode="eval")
        return _evaluated(tree.body)
    except (SyntaxError, ArithmeticError, ValueError, KeyError, RecursionError):
        return None


def _evaluated(node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=kind, right=right):
            result = _OPERATORS[type(kind)](_evaluated(left), _evaluated(right))
            if abs(result) >= _LARGEST:
                raise OverflowError
            return result
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_evaluated(operand)
    raise ValueError
