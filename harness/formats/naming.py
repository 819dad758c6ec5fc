"""Names of several command lines in one file."""

from collections.abc import Iterable, Sequence

from harness.formats.command_line import PlacedLine


def numbered(lines: Sequence[PlacedLine]) -> dict[str, PlacedLine]:
    """Without a name where there is one, else by number."""
    if len(lines) == 1:
        return {"": lines[0]}
    return {str(number): line for number, line in enumerate(lines, start=1)}


def named(lines: Iterable[tuple[str, PlacedLine]]) -> dict[str, PlacedLine]:
    """By name; one whose name is taken has a number behind it."""
    found = dict[str, PlacedLine]()
    for name, line in lines:
        free, number = name, 1
        while free in found:
            number += 1
            free = f"{name}-{number}"
        found[free] = line
    return found
