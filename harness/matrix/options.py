"""The options that select cells, declared once for the command line and for pytest."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness.matrix.axes import Selection


@dataclass(frozen=True, kw_only=True)
class SelectionOption:
    """One option.

    Attributes:
        name: Without dashes; pytest's is prefixed with ``matrix-``.
        field: The field of ``Selection`` it sets.
        many: Whether it may be repeated.
    """

    name: str
    field: str
    metavar: str
    help: str
    many: bool = True
    default: str = ""

    def arguments(self) -> Mapping[str, Any]:
        """Keyword arguments for ``add_argument`` or pytest's ``addoption``."""
        shared = {"dest": f"matrix_{self.field}", "metavar": self.metavar, "help": self.help}
        if self.many:
            return {**shared, "action": "append", "default": []}
        return {**shared, "default": self.default}


SELECTION_OPTIONS: Final = (
    SelectionOption(
        name="profile",
        field="profile",
        metavar="NAME",
        help="builds of a profile: smoke (default), full or all",
        many=False,
    ),
    SelectionOption(
        name="build",
        field="builds",
        metavar="GLOB",
        help="builds whose id matches, instead of a profile",
    ),
    SelectionOption(
        name="env",
        field="environments",
        metavar="E",
        help="cpu, cuda-spoof, cuda-spoof:VARIANT or cuda (default: cpu and cuda-spoof)",
    ),
    SelectionOption(
        name="subject",
        field="subjects",
        metavar="S",
        help="flag generator under test (default: reference)",
    ),
    SelectionOption(
        name="mode",
        field="modes",
        metavar="M",
        help="speculative mode as a user writes it, or unset (default: every mode)",
    ),
    SelectionOption(
        name="draft-max",
        field="draft_lengths",
        metavar="N",
        help="draft length in tokens, or default (default: default, 1, 5, 16)",
    ),
    SelectionOption(
        name="model",
        field="models",
        metavar="NAME",
        help="model to load (default: tiny-mtp and tiny-llama)",
    ),
    SelectionOption(
        name="context",
        field="contexts",
        metavar="N",
        help="context size in tokens (default: 512)",
    ),
    SelectionOption(
        name="cache-type",
        field="cache_types",
        metavar="T",
        help="KV cache type, or default for the build's own (default: default)",
    ),
    SelectionOption(
        name="chat-template",
        field="chat_templates",
        metavar="NAME",
        help="chat template, or default for the model's own (default: default)",
    ),
    SelectionOption(
        name="extra-arg",
        field="extra_args",
        metavar="WORD",
        help="an argument that the user adds by hand; write --extra-arg=--flag",
    ),
    SelectionOption(
        name="shard",
        field="shard",
        metavar="K/N",
        help="only the K-th of N parts, as `llama-harness plan` deals them",
        many=False,
    ),
    SelectionOption(
        name="balance-from",
        field="balance_from",
        metavar="FILE",
        help="results whose times the parts are balanced by",
        many=False,
    ),
)


def selection_from(values: Mapping[str, Any]) -> Selection:
    """Read a selection from parsed options."""
    fields: dict[str, Any] = {}
    for option in SELECTION_OPTIONS:
        value = values[f"matrix_{option.field}"]
        fields[option.field] = tuple(value) if option.many else value
    return Selection(**fields)


def as_pytest_arguments(selection: Selection) -> Iterator[str]:
    """The selection as arguments of pytest."""
    for option in SELECTION_OPTIONS:
        value = getattr(selection, option.field)
        for word in value if option.many else (value,) if value else ():
            yield f"--matrix-{option.name}={word}"
