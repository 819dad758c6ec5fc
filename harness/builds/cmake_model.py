"""What cmake's file API says about one program of a configured tree: which sources make it up."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import CompileError


@dataclass(frozen=True, kw_only=True)
class SourceGroup:
    """Sources of one target that are compiled with the same language and arguments.

    Attributes:
        target: The cmake target they belong to.
        language: ``C``, ``CXX`` or another of cmake's languages.
        include_directories: Where quoted and angled includes are looked up.
        sources: The files, in cmake's order, without those that cmake or the build makes: each
            cmake run would have their whole unit compiled again.
    """

    target: str
    language: str
    include_directories: tuple[Path, ...]
    sources: tuple[Path, ...]


def ask_for_model(build_directory: Path) -> None:
    """Make the next cmake run in that directory write its model."""
    query = build_directory / ".cmake" / "api" / "v1" / "query"
    query.mkdir(parents=True, exist_ok=True)
    (query / "codemodel-v2").touch()


def read_sources(build_directory: Path, name: str) -> tuple[SourceGroup, ...]:
    """Read the sources of one executable and of all that is built for it.

    Raises:
        CompileError: The tree has no such executable, or it needs a shared library of the tree.
    """
    reply = build_directory / ".cmake" / "api" / "v1" / "reply"
    index = json.loads(max(reply.glob("index-*.json")).read_text(encoding="utf-8"))
    model = json.loads((reply / index["reply"]["codemodel-v2"]["jsonFile"]).read_text("utf-8"))
    targets = {
        entry["id"]: json.loads((reply / entry["jsonFile"]).read_text(encoding="utf-8"))
        for entry in model["configurations"][0]["targets"]
    }
    needed = [
        target
        for target in targets.values()
        if target["name"] == name and target["type"] == "EXECUTABLE"
    ]
    if not needed:
        raise CompileError(f"these sources have no program {name} that cmake could build")
    for target in needed:
        if target["type"] in ("SHARED_LIBRARY", "MODULE_LIBRARY"):
            raise CompileError(f"{target['name']} is a shared library in spite of the options")
        for dependency in target.get("dependencies", ()):
            if (found := targets[dependency["id"]]) not in needed:
                needed.append(found)
    root = Path(model["paths"]["source"])
    return tuple(group for target in needed for group in _groups(target, root, build_directory))


def _groups(target: Mapping[str, Any], root: Path, made: Path) -> Iterator[SourceGroup]:
    for group in target.get("compileGroups", ()):
        sources = (target["sources"][index] for index in group["sourceIndexes"])
        yield SourceGroup(
            target=target["name"],
            language=group["language"],
            include_directories=tuple(Path(each["path"]) for each in group.get("includes", ())),
            sources=tuple(
                path
                for each in sources
                if not each.get("isGenerated")
                and not (path := root / each["path"]).is_relative_to(made)
            ),
        )
