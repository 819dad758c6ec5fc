"""The builds that files pin, and the changes of them from one revision to another."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Final

from harness.errors import FormatError, UsageError
from harness.formats import read_text
from harness.formats.document import SIZE_LIMIT, decoded

_TAGGED: Final = re.compile(
    r"(?:\bserver(?:-\w+)*-|\bfull(?:-\w+)*-|\bdownload/|\bllama-|[^\w.-])b(?P<number>\d{4,5})\b"
)
"""The tag of an image or of a release."""
_PINNED: Final = re.compile(r"(?<![\w.-])(?P<number>\d{4,5})(?![\w.-])")
"""A bare number, in a line that speaks of llama."""
_SPEAKS: Final = re.compile(r"llama", re.IGNORECASE)
_FIRST: Final = 3683
"""The first build of which anything is known."""


@dataclass(frozen=True, kw_only=True)
class Bump:
    """A file in which a build's number changes.

    Attributes:
        path: The file, from the repository's root.
        old: The number before.
        new: The number now.
        text: The file's text now.
    """

    path: Path
    old: int
    new: int
    text: str


def pinned_build(text: str) -> int | None:
    """The one build that a text pins by a tag; None where it pins none, or several."""
    numbers = {number for line in text.splitlines() for number in _tags(line)}
    return numbers.pop() if len(numbers) == 1 else None


def bump_of(before: str, after: str) -> tuple[int, int] | None:
    """The number of a build in a text before and after; None where none changes."""
    for old, new in _changed_lines(before, after):
        for numbers in (_tags, _bare):
            pairs = zip(numbers(old), numbers(new), strict=False)
            found = next(((one, other) for one, other in pairs if one != other), None)
            if found is not None:
                return found
    return None


def _changed_lines(before: str, after: str) -> Iterator[tuple[str, str]]:
    lines = (before.splitlines(), after.splitlines())
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, *lines, autojunk=False).get_opcodes():
        if tag == "replace":
            yield from zip(lines[0][i1:i2], lines[1][j1:j2], strict=False)


def _tags(line: str) -> list[int]:
    return [int(found["number"]) for found in _TAGGED.finditer(f" {line}")]


def _bare(line: str) -> list[int]:
    if not _SPEAKS.search(line):
        return []
    numbers = (int(found["number"]) for found in _PINNED.finditer(line))
    return [number for number in numbers if number >= _FIRST]


def bumps_since(base: str) -> list[Bump]:
    """The files of this repository in which a build's number changed since a revision.

    Raises:
        UsageError: It is no repository, or has no such revision.
    """
    root = Path(_git("rev-parse", "--show-toplevel").strip())
    names = _git("-C", str(root), "diff", "--name-only", "--diff-filter=M", "-z", base, "--")
    found = []
    for name in filter(None, names.split("\0")):
        after = _text(root / name)
        if after is None:
            continue
        before = _git("-C", str(root), "show", f"{base}:{name}")
        numbers = bump_of(before, after)
        if numbers is not None:
            old, new = numbers
            found.append(Bump(path=root / name, old=old, new=new, text=after))
    return found


def files_concerned(bumps: Sequence[Bump]) -> list[Path]:
    """The files whose command lines a change of a build is about.

    Those that change themselves; where they hold none, all of the repository that hold one.
    """
    own = [bump.path for bump in bumps if _holds_lines(bump.path, bump.text)]
    if own or not bumps:
        return own
    root = Path(_git("rev-parse", "--show-toplevel").strip())
    names = _git("-C", str(root), "ls-files", "-z").split("\0")
    paths = [root / name for name in filter(None, names)]
    return [path for path in paths if (text := _text(path)) and _holds_lines(path, text)]


def _holds_lines(path: Path, text: str) -> bool:
    if not _SPEAKS.search(text):
        return False
    try:
        return any(line.words for line in read_text(text, str(path), path=path).values())
    except FormatError:
        return False


def _text(path: Path) -> str | None:
    try:
        if not path.is_file() or path.stat().st_size > SIZE_LIMIT:
            return None
        return decoded(path.read_bytes())
    except (OSError, ValueError):
        return None


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, encoding="utf-8", errors="replace",
            check=False,
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"git cannot be run: {error.strerror}; --base needs it") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it does not say why"])[-1]
        raise UsageError(f"git {' '.join(words[:3])}: {said}")
    return done.stdout
