"""Static command lines, and what of them is the cell's."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from harness.config.paths import is_file
from harness.errors import SubjectError
from harness.flags.families import DRAFT_MODEL, MODEL, PORT, REMOTE_DRAFT_MODEL, REMOTE_MODEL
from harness.formats import CommandLine, server_arguments
from harness.model import LaunchPlan, LaunchTarget, LoadRequest, TinyModel
from harness.subjects.plans import checked_plan

MODEL_FLAGS: Final = frozenset(MODEL.flags)
REMOTE_MODEL_FLAGS: Final = frozenset(REMOTE_MODEL.flags)
DROPPED_FLAGS: Final = frozenset({"-hff", "--hf-file", "-hft", "--hf-token"})
"""With their values: what belongs to a model that is not fetched."""

DRAFT_FLAGS: Final = frozenset(DRAFT_MODEL.flags)
REMOTE_DRAFT_FLAGS: Final = frozenset(REMOTE_DRAFT_MODEL.flags)
PORT_FLAGS: Final = frozenset(PORT.flags)
FILE_FLAGS: Final = frozenset(
    {"-mm", "--mmproj", "--api-key-file", "--lora", "--chat-template-file", "--grammar-file",
     "--ssl-key-file", "--ssl-cert-file", "-mv", "--model-vocoder"}
)  # fmt: skip
_REPLACED: Final = frozenset().union(
    MODEL_FLAGS,
    REMOTE_MODEL_FLAGS,
    DROPPED_FLAGS,
    DRAFT_FLAGS,
    REMOTE_DRAFT_FLAGS,
    PORT_FLAGS,
    FILE_FLAGS,
)

_MODEL_PLACEHOLDERS: Final = ("{model}", "{{model_path}}", "{{model}}", "${MODEL}")
_DRAFT_PLACEHOLDERS: Final = ("{draft_model}", "{{draft_model_path}}", "${DRAFT_MODEL}")
_PORT_PLACEHOLDERS: Final = ("{port}", "{{port}}", "{{worker_port}}", "${PORT}", "$PORT")
_HOST_PLACEHOLDERS: Final = ("{host}", "{{host}}", "{{worker_ip}}", "${HOST}")
_NAME_PLACEHOLDER: Final = "{{model_name}}"

__all__ = ["CommandLine", "StaticSubject", "fit_to_cell", "server_arguments"]


class StaticSubject:
    """A command line that is the same for every load request, but for model and port."""

    def __init__(self, name: str, line: CommandLine) -> None:
        self.name = name
        self._line = line

    @property
    def words(self) -> tuple[str, ...]:
        """The command line as it was given."""
        return self._line.words

    def plan(
        self,
        request: LoadRequest,  # noqa: ARG002 - a static command line asks for what it asks for
        target: LaunchTarget,
    ) -> LaunchPlan:
        """The command line, fitted to the cell's model and port.

        Raises:
            SubjectError: It needs a file that the cell does not have.
        """
        fault = self._line.fault
        words = fault.words if fault else self._line.words
        argv = fit_to_cell(words, target.model, target.port, self.name)
        return checked_plan(self.name, argv, env=self._line.env, may_be_program=True)


def fit_to_cell(words: Iterable[str], model: TinyModel, port: int, origin: str) -> tuple[str, ...]:
    """The command line with the cell's model, draft model and port in place of its own.

    A model from another machine stands for whatever the cell loads, so the value after ``-m`` and
    its like is replaced even where it is no placeholder. Model and port are added at the end where
    the command line names none. Everything else stays as it is, in its order.

    Raises:
        SubjectError: It names a draft model and the cell's model has none, or another file that
            is not on this host.
    """
    fitted: list[str] = []
    pending = iter(words)
    for word in pending:
        if word in _REPLACED:
            fitted += _replaced(word, next(pending, ""), model, port, origin)
        else:
            fitted.append(_filled(word, model, port, origin))
    if MODEL_FLAGS.isdisjoint(fitted):
        fitted += ["-m", str(model.path)]
    if PORT_FLAGS.isdisjoint(fitted):
        fitted += ["--port", str(port)]
    return tuple(fitted)


def _replaced(flag: str, value: str, model: TinyModel, port: int, origin: str) -> tuple[str, ...]:
    if flag in MODEL_FLAGS:
        return (flag, str(model.path))
    if flag in REMOTE_MODEL_FLAGS:
        return ("-m", str(model.path))
    if flag in DROPPED_FLAGS:
        return ()
    if flag in DRAFT_FLAGS | REMOTE_DRAFT_FLAGS:
        return (flag if flag in DRAFT_FLAGS else "-md", _draft(model, origin))
    if flag in PORT_FLAGS:
        return (flag, str(port))
    if not is_file(Path(value)):
        raise SubjectError(
            f"{origin}: {flag} names {value!r}, which is not on this host; leave it out"
        )
    return (flag, value)


def _filled(word: str, model: TinyModel, port: int, origin: str) -> str:
    for placeholder in _MODEL_PLACEHOLDERS:
        word = word.replace(placeholder, str(model.path))
    for placeholder in _DRAFT_PLACEHOLDERS:
        if placeholder in word:
            word = word.replace(placeholder, _draft(model, origin))
    for placeholder in _PORT_PLACEHOLDERS:
        word = word.replace(placeholder, str(port))
    for placeholder in _HOST_PLACEHOLDERS:
        word = word.replace(placeholder, "127.0.0.1")
    return word.replace(_NAME_PLACEHOLDER, model.name)


def _draft(model: TinyModel, origin: str) -> str:
    if model.draft_path is None:
        raise SubjectError(
            f"{origin}: names a draft model, and model {model.name} has none that fits"
        )
    return str(model.draft_path)
