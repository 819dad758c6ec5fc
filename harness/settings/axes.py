"""What a load request may wish of each setting, and how a wish is written wherever it is written.

Names and repro commands of cells, the options of every command that selects cells, the
configuration's lists and the requests of a matrix are made from these. It imports next to nothing,
for whoever only lists cells.
"""

from dataclasses import dataclass
from typing import Any, Final

from harness.errors import UsageError
from harness.model import MODE_UNSET, Mode

DEFAULT: Final = "default"
"""How a wish that is left to the build or the application is written."""


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One wish.

    Attributes:
        setting: The setting that it is of.
        field: Of ``LoadRequest``.
        many: Of ``Selection`` and of the configuration, where it holds a list.
        option: Without dashes.
        metavar: What the option takes.
        help: What the option says.
        usual: Of a request that wishes nothing.
        varied: What a matrix tries where nothing is selected.
        unset: How the usual wish is written, where it is None.
        is_number: Whether it is a number of tokens.
        letter: Stands before it in a cell's id.
        always: Whether an id and a repro command name it even where it is the usual one.
    """

    setting: str
    field: str
    many: str
    option: str
    metavar: str
    help: str
    usual: Any = None
    varied: tuple[Any, ...] = (None,)
    unset: str = DEFAULT
    is_number: bool = False
    letter: str = ""
    always: bool = False

    def read(self, word: str) -> Any:
        """The wish that a word means.

        Raises:
            UsageError: It is no number, and has to be one.
        """
        if self.usual is None and word == self.unset:
            return None
        if not self.is_number:
            return word
        try:
            return int(word)
        except ValueError:
            instead = f", or {self.unset}" if self.usual is None else ""
            raise UsageError(
                f"--{self.option} {word!r}: give a number of tokens{instead}"
            ) from None

    def write(self, wish: Any) -> str:
        """The word for a wish."""
        return self.unset if wish is None else str(wish)


MODE: Final = Axis(
    setting="speculation",
    field="mode",
    many="modes",
    option="mode",
    metavar="M",
    help="speculative mode as a user writes it, or unset (default: every mode)",
    varied=tuple(mode.value for mode in Mode),
    unset=MODE_UNSET,
    always=True,
)
DRAFT_LENGTH: Final = Axis(
    setting="speculation",
    field="draft_n_max",
    many="draft_lengths",
    option="draft-max",
    metavar="N",
    help="draft length in tokens, or default (default: default, 1, 5, 16)",
    varied=(None, 1, 5, 16),
    is_number=True,
    letter="n",
    always=True,
)
CONTEXT: Final = Axis(
    setting="context",
    field="context_length",
    many="contexts",
    option="context",
    metavar="N",
    help="context size in tokens (default: 512)",
    usual=512,
    varied=(512,),
    is_number=True,
    letter="c=",
)
CACHE_TYPE: Final = Axis(
    setting="cache_type_k",
    field="cache_type",
    many="cache_types",
    option="cache-type",
    metavar="T",
    help="KV cache type, or default for the build's own (default: default)",
    letter="k=",
)
CHAT_TEMPLATE: Final = Axis(
    setting="template",
    field="chat_template",
    many="chat_templates",
    option="chat-template",
    metavar="NAME",
    help="chat template, or default for the model's own (default: default)",
    letter="t=",
)

AXES: Final = (MODE, DRAFT_LENGTH, CONTEXT, CACHE_TYPE, CHAT_TEMPLATE)
