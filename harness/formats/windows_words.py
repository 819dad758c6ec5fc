"""Words of a command as programs on Windows split their command line."""

import re

from harness.formats.places import BlankRow, Word, place_of
from harness.formats.traced import Encode, Traced


def windows_quoted(word: str) -> str:
    """A word as a program reads it back: quotes only where it needs them."""
    if word and not re.search(r'[\s"&|<>^()]', word):
        return word
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', word)
    return '"' + re.sub(r"(\\+)$", r"\1\1", escaped) + '"'


def windows_words(source: Traced, row: BlankRow, quote: Encode = windows_quoted) -> list[Word]:
    """The words of a command line: double quotes hold together, backslashes are plain."""
    text, words, i = source.text, list[Word](), 0
    while i < len(text):
        if text[i] in " \t\r\n":
            i += 1
            continue
        start, pieces, quoted = i, [source[i:i]], False
        while i < len(text) and (quoted or text[i] not in " \t\r\n"):
            slashes = len(text[i:]) - len(text[i:].lstrip("\\"))
            before_quote = text[i + slashes : i + slashes + 1] == '"'
            if slashes and before_quote:
                pieces += [source[i : i + 1]] * (slashes // 2)
                i += slashes
                if slashes % 2:
                    pieces.append(Traced.at('"', source.span(i - 1, i + 1)))
                    i += 1
            elif slashes:
                pieces.append(source[i : i + slashes])
                i += slashes
            elif text[i] == '"':
                quoted = not quoted
                i += 1
            else:
                pieces.append(source[i : i + 1])
                i += 1
        words.append(Word(Traced.joined(pieces), place_of(source.span(start, i), quote, row)))
    return words
