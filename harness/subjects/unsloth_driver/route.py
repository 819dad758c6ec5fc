"""The guard of Studio's API route, without the web application around it.

``routes/inference.py`` cannot be imported without a model hub, a database and torch. Its guard is
one function that compares two objects: it is taken out of the file as it stands, together with the
functions, constants and imports that it uses, and nothing else of the file runs.
"""

import __future__

import ast
import builtins
import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_ROUTES = Path("routes/inference.py")
_GUARD = "_request_matches_loaded_settings"
_REQUEST = ("models.inference", "LoadRequest")
_FIELDS = {
    # wish of a load request -> field of the route's request
    "model_identifier": "model_path",
    "n_ctx": "max_seq_length",
    "speculative_type": "speculative_type",
    "spec_draft_n_max": "spec_draft_n_max",
    "cache_type_kv": "cache_type_kv",
    "chat_template_override": "chat_template_override",
    "extra_args": "llama_extra_args",
}

Definition = ast.FunctionDef | ast.Assign | ast.AnnAssign | ast.ClassDef


class RouteGuard:
    """The guard of one version.

    Raises:
        LookupError: This version has none.
        ImportError: Something that the guard uses cannot be imported here.
    """

    def __init__(self) -> None:
        source = next((path for path in map(_routes_in, sys.path) if path.is_file()), None)
        if source is None:
            raise LookupError(f"there is no {_ROUTES}")
        self._matches: Callable[..., Any] = _Extract(source).value(_GUARD)
        module, name = _REQUEST
        self._request_class: Any = getattr(importlib.import_module(module), name)

    def matches(self, backend: Any, wishes: Mapping[str, Any]) -> bool:
        """Whether the route would answer a request without calling the backend."""
        identifier = getattr(backend, "model_identifier", None)
        if not getattr(backend, "is_loaded", False) or not identifier:
            return False
        if str(identifier).lower() != str(wishes["model_identifier"]).lower():
            return False
        fields = {_FIELDS[wish]: value for wish, value in wishes.items() if wish in _FIELDS}
        return bool(self._matches(self._request_class(**fields), backend))


def _routes_in(directory: str) -> Path:
    return Path(directory) / _ROUTES


class _Extract:
    """Values of a module, each with no more of the module than it needs."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._definitions: dict[str, Definition] = {}
        self._imports: dict[str, tuple[str, str | None]] = {}
        self._values: dict[str, Any] = {"__name__": "studio_route"}
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self._imports[alias.asname or alias.name] = (node.module, alias.name)
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    self._imports[bound] = (alias.name if alias.asname else bound, None)
            elif isinstance(node, ast.Module):
                self._define(node.body)

    def _define(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                self._definitions[node.name] = node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self._definitions[node.target.id] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        self._definitions[target.id] = node

    def value(self, name: str) -> Any:
        """The value that the module binds to a name.

        Raises:
            LookupError: It binds none.
            ImportError: It needs a module that is not there.
        """
        if name not in self._values:
            if name in self._definitions:
                self._execute(name, self._definitions[name])
            elif name in self._imports:
                module, attribute = self._imports[name]
                imported = importlib.import_module(module)
                self._values[name] = imported if attribute is None else getattr(imported, attribute)
            else:
                raise LookupError(f"{self._source} has no {name}")
        return self._values[name]

    def _execute(self, name: str, node: Definition) -> None:
        self._values[name] = None  # a function may call itself
        for used in sorted(_names_used(node) - {name}):
            if used in self._definitions or used in self._imports:
                self.value(used)
        code = compile(
            ast.Module(body=[node], type_ignores=[]),
            str(self._source),
            "exec",
            flags=__future__.annotations.compiler_flag,
            dont_inherit=True,
        )
        exec(code, self._values)


def _names_used(node: ast.AST) -> set[str]:
    """Global names that a definition reads, those of its annotations and its own locals aside."""
    names: set[str] = set()
    local: set[str] = set()

    def visit(part: ast.AST) -> None:
        if isinstance(part, ast.Name):
            (names if isinstance(part.ctx, ast.Load) else local).add(part.id)
        if isinstance(part, ast.arg):
            local.add(part.arg)
            return
        for field, value in ast.iter_fields(part):
            if field in {"annotation", "returns"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    visit(child)

    visit(node)
    return names - local - set(dir(builtins))
