"""Studio's backend, found by looking: its private names move from version to version."""

import dataclasses
import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .route import RouteGuard

_MODULE = "core.inference.llama_cpp"
_NEEDED = ("gguf_path", "model_identifier", "n_ctx", "speculative_type")


class CannotDriveError(Exception):
    """This version of Studio is not of a shape that this driver knows, or refuses a wish."""


class Studio:
    """One imported Studio backend and the handful of its names that are used.

    Raises:
        CannotDriveError: A name that every known version has is not there.
    """

    def __init__(self) -> None:
        try:
            self.module = importlib.import_module(_MODULE)
        except ImportError as error:
            raise CannotDriveError(f"importing {_MODULE} failed: {error}") from error
        backend = getattr(self.module, "LlamaCppBackend", None)
        if backend is None or not callable(getattr(backend, "load_model", None)):
            raise CannotDriveError(f"{_MODULE} has no LlamaCppBackend.load_model")
        self.backend_class: Any = backend
        self._intent_class = _intent_class(backend.load_model, self.module)
        fields = self._intent_class or backend.load_model
        self._accepted = frozenset(inspect.signature(fields).parameters)
        missing = [wish for wish in _NEEDED if wish not in self._accepted]
        if missing:
            raise CannotDriveError(
                f"LlamaCppBackend.load_model takes no {', '.join(missing)} (it takes "
                f"{', '.join(sorted(self._accepted))})"
            )
        _spare_other_servers(backend)

    def arguments(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        """A load's keyword arguments, as far as this version has them.

        Raises:
            CannotDriveError: A wish that is not None has no argument in this version, or
                Studio's own validation refuses an extra argument.
        """
        arguments = {}
        for wish, value in wishes.items():
            if wish in self._accepted:
                arguments[wish] = value
            elif value is not None:
                raise CannotDriveError(f"this version has no way to ask for {wish}={value!r}")
        if extra := wishes.get("extra_args"):
            _validate_extra(extra)
        return arguments

    def backend(self, port: int | None) -> Any:
        """A new backend, as Studio makes one at start-up; it takes ``port`` where it can."""
        backend = self.backend_class()
        if port is not None and hasattr(backend, "_find_free_port"):
            backend._find_free_port = lambda *_args, **_values: port
        return backend

    def load(self, backend: Any, arguments: Mapping[str, Any]) -> bool:
        """Call ``load_model`` in this version's way; what it answered."""
        if self._intent_class is None:
            return bool(backend.load_model(**arguments))
        return bool(backend.load_model(self._intent_class(**arguments)))

    def guard(self, backend: Any, wishes: Mapping[str, Any]) -> dict[str, bool | None]:
        """What Studio's guards say to a request: True means that no reload is needed.

        ``backend`` is ``_already_in_target_state`` or ``_runtime_matches_intent``, ``route`` is
        ``_request_matches_loaded_settings``; None where the version has no such guard, or one
        that uses modules which are not installed here.
        """
        route = self._route
        return {
            "backend": self._backend_guard(backend, self.arguments(wishes)),
            "route": None if route is None else route.matches(backend, wishes),
        }

    @functools.cached_property
    def _route(self) -> RouteGuard | None:
        try:
            return RouteGuard()
        except LookupError:
            return None
        except ImportError as error:
            sys.stderr.write(f"the route's guard cannot be asked: {error}\n")
            return None

    def _backend_guard(self, backend: Any, arguments: Mapping[str, Any]) -> bool | None:
        older = getattr(backend, "_already_in_target_state", None)
        if older is not None:
            return bool(older(**_fill(older, arguments)))
        newer = getattr(backend, "_runtime_matches_intent", None)
        if newer is None or self._intent_class is None:
            return None
        intent = self._intent_class(**arguments)
        parameters = list(inspect.signature(newer).parameters)
        values: list[Any] = [intent]
        if len(parameters) > 1:
            values.append(list(intent.extra_args) if intent.extra_args is not None else None)
        return bool(getattr(backend, "is_loaded", False)) and bool(newer(*values))


def _validate_extra(extra: list[str]) -> None:
    try:
        arguments = importlib.import_module("core.inference.llama_server_args")
        validate = arguments.validate_extra_args
    except (ImportError, AttributeError):  # versions that take anything
        return
    try:
        validate(extra)
    except ValueError as error:
        raise CannotDriveError(f"Studio refuses the extra arguments: {error}") from error


def _fill(function: Callable[..., Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"hf_variant": None, "is_vision": False}
    accepted = inspect.signature(function).parameters
    filled = {name: value for name, value in arguments.items() if name in accepted}
    for name, parameter in accepted.items():
        if name in filled or parameter.default is not inspect.Parameter.empty:
            continue
        if name not in defaults:
            raise CannotDriveError(f"{function.__name__} wants {name}, which no request holds")
        filled[name] = defaults[name]
    return filled


def _intent_class(load_model: Callable[..., Any], module: Any) -> Any:
    """The dataclass that ``load_model`` takes since mid-2026; None for keyword arguments."""
    parameters = list(inspect.signature(load_model).parameters.values())
    for parameter in parameters[1:2]:
        annotation = parameter.annotation
        if isinstance(annotation, str):
            annotation = getattr(module, annotation, None)
        if dataclasses.is_dataclass(annotation):
            return annotation
    return None


def _spare_other_servers(backend: Any) -> None:
    """Keep Studio from ending servers that it did not start.

    Its clean-up at start-up kills every process of the host that runs the program named by
    LLAMA_SERVER_PATH: here those are the servers of other cells.
    """
    for name in dir(backend):
        if "kill_orphan" in name:
            setattr(backend, name, staticmethod(lambda *_args, **_values: 0))


def adopt_environment(binary: Path) -> None:
    """Point Studio at a program.

    The API key that newer versions give their server is turned off by Studio's own switch, so
    that witnesses can ask the server; nothing may be fetched from a model hub.
    """
    os.environ["LLAMA_SERVER_PATH"] = str(binary)
    os.environ["UNSLOTH_LLAMA_SERVER_API_KEY"] = "0"
    os.environ["HF_HUB_OFFLINE"] = "1"
