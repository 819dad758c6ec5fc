"""A stand-in for Studio's ``loggers`` package, which needs a web framework to be imported."""

import sys
from collections.abc import Callable
from types import ModuleType

_KEPT = 200


class StudioLog:
    """What Studio logged since the last ``take``, newest last, at level info and above."""

    def __init__(self) -> None:
        self._lines: list[tuple[str, str]] = []

    def add(self, level: str, text: str) -> None:
        """Keep one line."""
        self._lines.append((level, text))
        del self._lines[:-_KEPT]
        sys.stderr.write(f"{level}: {text}\n")

    def take(self) -> list[tuple[str, str]]:
        """The lines so far, as (level, text); forgets them."""
        lines, self._lines = self._lines, []
        return lines


class _Logger:
    """Answers to every method of a logger; structlog's and logging's calling styles both work."""

    def __init__(self, log: StudioLog) -> None:
        self._log = log

    def bind(self, *_args: object, **_values: object) -> "_Logger":
        return self

    def isEnabledFor(self, _level: object) -> bool:  # noqa: N802 - logging's name
        return False

    def __getattr__(self, level: str) -> Callable[..., None]:
        def emit(message: object = "", *args: object, **_values: object) -> None:
            if level in ("debug", "trace"):
                return
            text = str(message)
            if args:
                try:
                    text %= args
                except (TypeError, ValueError):
                    text = " ".join([text, *map(str, args)])
            self._log.add(level, text)

        return emit


def install(log: StudioLog) -> None:
    """Make ``from loggers import get_logger`` give a logger that writes to ``log``."""
    loggers = ModuleType("loggers")

    def get_logger(*_args: object, **_values: object) -> _Logger:
        return _Logger(log)

    loggers.get_logger = get_logger  # type: ignore[attr-defined]
    sys.modules["loggers"] = loggers
