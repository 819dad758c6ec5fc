"""Serving: where the server listens, what it calls its model, whom it serves and what."""

import http
from collections.abc import Callable
from pathlib import PurePath
from typing import Final

from harness.flags.arguments import Argument
from harness.flags.families import HOST, HTTP_THREADS, MODEL, PORT, REMOTE_MODEL, Family
from harness.model import Basis
from harness.settings.base import EffectiveState
from harness.settings.observation import Observation, Probed
from harness.settings.said import LinePattern
from harness.settings.value import (
    ANYTHING,
    Reading,
    ValueSetting,
    answers,
    at,
    from_properties,
    integer,
    logged,
    positive,
    probed,
    switch,
)

_ALIAS: Final = Family(flags=("--alias", "-a"), variables=("LLAMA_ARG_ALIAS",))
_KEY: Final = Family(
    flags=("--api-key", "--api-key-file"), variables=("LLAMA_API_KEY", "LLAMA_ARG_API_KEY_FILE")
)
_PREFIX: Final = Family(flags=("--api-prefix",), variables=("LLAMA_ARG_API_PREFIX",))
_METRICS: Final = Family(flags=("--metrics",), variables=("LLAMA_ARG_ENDPOINT_METRICS",))
_SLOTS: Final = Family(
    flags=("--slots",),
    variables=("LLAMA_ARG_ENDPOINT_SLOTS",),
    negations=("--no-slots",),
    negating_variables=("LLAMA_ARG_NO_ENDPOINT_SLOTS",),
)
_PROPS: Final = Family(flags=("--props",), variables=("LLAMA_ARG_ENDPOINT_PROPS",))
_EMBEDDINGS: Final = Family(
    flags=("--embedding", "--embeddings"), variables=("LLAMA_ARG_EMBEDDINGS",)
)
_RERANKING: Final = Family(flags=("--reranking", "--rerank"), variables=("LLAMA_ARG_RERANKING",))
_UI: Final = Family(
    flags=("--ui", "--webui"),
    variables=("LLAMA_ARG_UI", "LLAMA_ARG_WEBUI"),
    negations=("--no-ui", "--no-webui"),
    negating_variables=("LLAMA_ARG_NO_UI", "LLAMA_ARG_NO_WEBUI"),
)
_THREADS: Final = Family(flags=("--threads", "-t"), variables=("LLAMA_ARG_THREADS",))
_BATCH_THREADS: Final = Family(
    flags=("--threads-batch", "-tb"), variables=("LLAMA_ARG_THREADS_BATCH",)
)
_TAGS: Final = Family(flags=("--tags",), variables=("LLAMA_ARG_TAGS",))
_TOOLS: Final = Family(flags=("--tools",), variables=("LLAMA_ARG_TOOLS",))
_AGENT: Final = Family(
    flags=("--agent", "-ag"),
    variables=("LLAMA_ARG_AGENT",),
    negations=("--no-agent", "-no-ag"),
    negating_variables=("LLAMA_ARG_NO_AGENT",),
)
_PROXY: Final = Family(
    flags=("--ui-mcp-proxy", "--webui-mcp-proxy"),
    variables=("LLAMA_ARG_UI_MCP_PROXY", "LLAMA_ARG_WEBUI_MCP_PROXY"),
    negations=("--no-ui-mcp-proxy", "--no-webui-mcp-proxy"),
)
_POOLING: Final = Family(flags=("--pooling",), variables=("LLAMA_ARG_POOLING",))
_POOLINGS: Final = ("none", "mean", "cls", "last", "rank")
_LOG_FILE: Final = Family(flags=("--log-file",), variables=("LLAMA_ARG_LOG_FILE", "LLAMA_LOG_FILE"))
_VERBOSE: Final = Family(flags=("--verbose", "-v", "--log-verbose"))
_TOOLS_SINCE: Final = 8553
"""The first build that has tools (ggml-org/llama.cpp PR 20898)."""
_ALL_TOOLS: Final = "all"
_VERBOSITY: Final = Family(
    flags=("--verbosity", "--log-verbosity", "-lv"),
    variables=("LLAMA_ARG_LOG_VERBOSITY", "LLAMA_LOG_VERBOSITY"),
)
_LISTENING: Final = LinePattern(r"listening on http://[^ ]*:(\d+)|hostname: [^,]*, port: (\d+)")


def _port(observation: Observation) -> int | None:
    found = observation.startup.last(_LISTENING)
    return None if found is None else int(found[1] or found[2])


def _id(observation: Observation) -> str | None:
    first = observation.models[0] if observation.models else {}
    return _shortened(first.get("id"), observation)


def _shortened(name: object, observation: Observation) -> str | None:
    """A model's name; ``PATH`` where it is the path of the model file, which differs by host.

    None where it is empty: without ``--alias`` some builds of late 2025 leave it so in ``/props``.
    """
    if not isinstance(name, str) or not name:
        return None
    path = at(observation.properties, "model_path")
    return "PATH" if name == path else name


def _aliases(observation: Observation) -> list[str] | None:
    first = observation.models[0] if observation.models else {}
    names = first.get("aliases")
    if not isinstance(names, list):
        return None
    return [shown for name in names if (shown := _shortened(name, observation))]


def _model(observation: Observation) -> str | None:
    path = at(observation.properties, "model_path")
    return None if path is None else PurePath(str(path)).stem


def _anything(argument: Argument) -> str:  # noqa: ARG001 - the harness replaces it
    return ANYTHING


def _locked(path: str) -> Reading:
    return Reading(
        witness="request-without-key",
        read=lambda seen: seen.locked.get(path, False),
        basis=Basis.BEHAVIOUR,
    )


def _endpoint(variable: str, serves: Callable[[Observation], bool]) -> Reading:
    """A witness; that it is served means nothing where the harness switched it on itself."""
    return Reading(
        witness="request",
        read=lambda seen: None if serves(seen) and variable in seen.switched_on else serves(seen),
        basis=Basis.BEHAVIOUR,
    )


def _says_ui(observation: Observation) -> bool | None:
    properties = observation.properties or {}
    told: bool | None = at(properties, "ui" if "ui" in properties else "webui")
    return told


def _serves_ui(observation: Observation) -> bool | None:
    """Newer builds may be compiled without a page, and say all the same that they serve it."""
    status = observation.probed.home if observation.probed else None
    if status == http.HTTPStatus.OK:
        return True
    missing = status == http.HTTPStatus.NOT_FOUND
    return False if missing and _says_ui(observation) is None else None


def _tools(observation: Observation) -> list[str] | None:
    has_tools = (observation.build_number or 0) >= _TOOLS_SINCE and not observation.fork
    if observation.probed is None or not has_tools:
        return None
    return [*(observation.probed.tools or ())]


def _asks_tools(argument: Argument) -> str:
    if _AGENT.is_set_by(argument):
        return "" if _AGENT.is_negated_by(argument) else _ALL_TOOLS
    return argument.value


def _grants_tools(asked: str, seen: list[str], _: EffectiveState) -> bool:
    return bool(seen) if asked == _ALL_TOOLS else sorted(filter(None, asked.split(","))) == seen


def _tags(observation: Observation) -> list[str] | None:
    first = observation.models[0] if observation.models else {}
    tags = first.get("tags")
    return tags if isinstance(tags, list) else None


def _log_file(tried: Probed) -> str | None:
    """The one file that it writes to."""
    return PurePath(*tried.written).name if len(tried.written) == 1 else None


SETTINGS: Final = (
    ValueSetting(
        name="model",
        families=(MODEL, REMOTE_MODEL),
        asks=_anything,
        readings=(Reading(witness="props", read=_model),),
    ),
    ValueSetting(
        name="model_id",
        families=(_ALIAS,),
        asks=lambda argument: argument.value.split(",")[0].strip() or None,
        readings=(
            Reading(witness="models", read=_id),
            Reading(
                witness="props",
                read=lambda seen: _shortened(at(seen.properties, "model_alias"), seen),
            ),
        ),
        # Several add up since Jan 2026, and the server answers to each.
        grants=lambda asked, seen, state: asked in {seen.split(",")[0], *state.get("aliases", ())},
    ),
    ValueSetting(
        name="aliases",
        families=(),
        asks=_anything,
        readings=(Reading(witness="models", read=_aliases),),
    ),
    ValueSetting(
        name="host",
        families=(HOST,),
        asks=_anything,
        readings=(
            logged(r"listening on http://(127\.0\.0\.1)|hostname: (127\.0\.0\.1)", main=False),
        ),
    ),
    ValueSetting(
        name="port",
        families=(PORT,),
        asks=_anything,
        readings=(
            Reading(witness="request", read=lambda seen: seen.port or None, basis=Basis.BEHAVIOUR),
            Reading(witness="startup-log", read=_port),
        ),
    ),
    ValueSetting(
        name="auth",
        families=(_KEY,),
        asks=lambda argument: bool(argument.value),
        readings=(_locked("/props"),),
    ),
    ValueSetting(
        name="auth_models", families=(), asks=_anything, readings=(_locked("/v1/models"),)
    ),
    ValueSetting(
        name="api_prefix",
        families=(_PREFIX,),
        asks=lambda argument: argument.value,
        readings=(
            Reading(witness="request", read=lambda seen: seen.prefix, basis=Basis.BEHAVIOUR),
        ),
    ),
    ValueSetting(
        name="metrics",
        families=(_METRICS,),
        asks=switch(_METRICS),
        readings=(_endpoint("LLAMA_ARG_ENDPOINT_METRICS", lambda seen: seen.metrics is not None),),
    ),
    ValueSetting(
        name="slots_endpoint",
        families=(_SLOTS,),
        asks=switch(_SLOTS),
        readings=(_endpoint("LLAMA_ARG_ENDPOINT_SLOTS", lambda seen: bool(seen.slots)),),
    ),
    ValueSetting(
        name="props_endpoint",
        families=(_PROPS,),
        asks=switch(_PROPS),
        readings=(answers("/props"), from_properties("endpoint_props", kind=bool)),
    ),
    ValueSetting(
        name="embeddings",
        families=(_EMBEDDINGS,),
        asks=switch(_EMBEDDINGS),
        readings=(answers("/v1/embeddings"),),
    ),
    ValueSetting(
        name="reranking",
        families=(_RERANKING,),
        asks=switch(_RERANKING),
        readings=(answers("/rerank"),),
    ),
    ValueSetting(
        name="ui",
        families=(_UI,),
        asks=switch(_UI),
        readings=(
            Reading(witness="props", read=_says_ui),
            Reading(witness="request", read=_serves_ui, basis=Basis.BEHAVIOUR),
        ),
    ),
    ValueSetting(
        name="threads",
        families=(_THREADS,),
        asks=integer,
        readings=(logged(r"system_info: n_threads = (\d+)", int),),
        grants=lambda asked, seen, _: asked <= 0 or seen == asked,
    ),
    ValueSetting(
        name="threads_batch",
        families=(_BATCH_THREADS,),
        asks=integer,
        readings=(logged(r"n_threads_batch = (\d+)", int),),
        grants=lambda asked, seen, _: asked <= 0 or seen == asked,
    ),
    ValueSetting(
        name="verbosity",
        families=(_VERBOSITY,),
        asks=integer,
        readings=(logged(r"verbosity = (\d+)", int),),
    ),
    ValueSetting(
        name="verbose",
        families=(_VERBOSE,),
        asks=switch(_VERBOSE),
        readings=(probed(lambda tried: tried.verbose, "request-with-tools"),),
    ),
    ValueSetting(
        name="log_file",
        families=(_LOG_FILE,),
        asks=lambda argument: PurePath(argument.value).name or None,
        readings=(probed(_log_file, "open-files"),),
    ),
    ValueSetting(
        name="threads_http",
        families=(HTTP_THREADS,),
        asks=positive,
        readings=(logged(r"init: using (\d+)|http threads: (\d+)", int, main=False),),
    ),
    ValueSetting(
        name="pooling",
        families=(_POOLING,),
        asks=lambda argument: argument.value or None,
        readings=(
            logged(r"default pooling_type is .* but \[([0-4])\]", lambda n: _POOLINGS[int(n)]),
        ),
    ),
    ValueSetting(
        name="tags",
        families=(_TAGS,),
        asks=lambda argument: sorted(tag.strip() for tag in argument.value.split(",")),
        readings=(Reading(witness="models", read=_tags),),
    ),
    ValueSetting(
        name="tools",
        families=(_TOOLS, _AGENT),
        asks=_asks_tools,
        readings=(Reading(witness="request", read=_tools, basis=Basis.BEHAVIOUR),),
        grants=_grants_tools,
    ),
    ValueSetting(
        name="mcp_proxy",
        families=(_PROXY, _AGENT),
        asks=switch(_PROXY, _AGENT),
        readings=(from_properties("cors_proxy_enabled", kind=bool),),
    ),
)
