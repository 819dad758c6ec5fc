"""Command lines of lemonade's ``recipe_options.json``: ``{MODEL: {"llamacpp_args": "…"}}``.

lemonade itself adds ``-m``, ``--ctx-size``, ``--port`` and ``--jinja``, and refuses them among the
recipe's own arguments (lemonade-sdk/lemonade#866).
"""

from collections.abc import Mapping
from typing import Any, Final

from harness.errors import SubjectError
from harness.subjects.command_lines import CommandLine, parse_command_line

_DEFAULT_CONTEXT: Final = 4096


def command_lines(document: Mapping[str, Any], origin: str) -> Mapping[str, CommandLine] | None:
    """The command line that lemonade starts for each model; None without llama.cpp options.

    Raises:
        SubjectError: ``llamacpp_args`` is not text, or ``ctx_size`` is not a number.
    """
    models = {name: model for name, model in document.items() if isinstance(model, Mapping)}
    if not any({"llamacpp_args", "ctx_size"} & model.keys() for model in models.values()):
        return None
    lines = {}
    for name, options in models.items():
        if "llamacpp_args" not in options:
            continue
        place = f"{origin}#{name}"
        arguments = options["llamacpp_args"]
        context = options.get("ctx_size", _DEFAULT_CONTEXT)
        if not isinstance(arguments, str):
            raise SubjectError(f"{place}: llamacpp_args is not text")
        if not isinstance(context, int):
            raise SubjectError(f"{place}: ctx_size is not a number")
        managed = f"-m {{model}} --ctx-size {context} --port {{port}} --jinja"
        lines[str(name)] = parse_command_line(f"{managed} {arguments}", place)
    return lines
