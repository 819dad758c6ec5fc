"""What cmake's file API says about one program of a configured tree: sources, flags, link line."""

import json
import shlex
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
        arguments: Everything for the compiler but the file names.
        include_directories: Where quoted and angled includes are looked up.
        sources: The files, in cmake's order.
    """

    target: str
    language: str
    arguments: tuple[str, ...]
    include_directories: tuple[Path, ...]
    sources: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Program:
    """Everything that makes up one executable.

    Attributes:
        binary: Where cmake would put it.
        groups: Its sources and those of every library of the tree that it links.
        link_arguments: Flags and outside libraries of its link line.
        prerequisites: ninja targets that write files its sources need.
    """

    binary: Path
    groups: tuple[SourceGroup, ...]
    link_arguments: tuple[str, ...]
    prerequisites: tuple[str, ...]


def ask_for_model(build_directory: Path) -> None:
    """Make the next cmake run in that directory write its model."""
    query = build_directory / ".cmake" / "api" / "v1" / "query"
    query.mkdir(parents=True, exist_ok=True)
    (query / "codemodel-v2").touch()


def read_program(build_directory: Path, name: str) -> Program:
    """Read the model of one executable.

    Raises:
        CompileError: The tree has no such executable.
    """
    reply = build_directory / ".cmake" / "api" / "v1" / "reply"
    index = json.loads(max(reply.glob("index-*.json")).read_text(encoding="utf-8"))
    model = json.loads((reply / index["reply"]["codemodel-v2"]["jsonFile"]).read_text("utf-8"))
    root = Path(model["paths"]["source"])
    targets = {
        entry["id"]: json.loads((reply / entry["jsonFile"]).read_text(encoding="utf-8"))
        for entry in model["configurations"][0]["targets"]
    }
    wanted = next(
        (
            target
            for target in targets.values()
            if target["name"] == name and target["type"] == "EXECUTABLE"
        ),
        None,
    )
    if wanted is None:
        raise CompileError(f"these sources have no program {name} that cmake could build")
    linked, link_arguments = _link_line(wanted, targets)
    members = [wanted, *linked]
    return Program(
        binary=build_directory / wanted["artifacts"][0]["path"],
        groups=tuple(group for member in members for group in _groups(member, root)),
        link_arguments=link_arguments,
        prerequisites=tuple(_prerequisites(members, targets, root, build_directory)),
    )


def _link_line(
    wanted: Mapping[str, Any], targets: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    """Split a link line into targets of the tree, whose sources count, and everything else."""
    archives = {
        artifact["path"]: target
        for target in targets.values()
        if target["type"] == "STATIC_LIBRARY"
        for artifact in target["artifacts"]
    }
    linked: dict[str, Mapping[str, Any]] = {}
    rest: list[str] = []
    for fragment in wanted["link"].get("commandFragments", ()):
        for part in shlex.split(fragment["fragment"]):
            if part in archives:
                linked[archives[part]["id"]] = archives[part]
            else:
                rest.append(part)
    for member in [wanted, *linked.values()]:
        for dependency in member.get("dependencies", ()):
            target = targets[dependency["id"]]
            if target["type"] == "OBJECT_LIBRARY":
                linked[target["id"]] = target
            elif target["type"] in ("SHARED_LIBRARY", "MODULE_LIBRARY"):
                raise CompileError(f"{target['name']} is a shared library in spite of the options")
    return list(linked.values()), tuple(rest)


def _groups(target: Mapping[str, Any], root: Path) -> Iterator[SourceGroup]:
    for group in target.get("compileGroups", ()):
        includes = [entry["path"] for entry in group.get("includes", ())]
        yield SourceGroup(
            target=target["name"],
            language=group["language"],
            arguments=(
                *(f"-D{entry['define']}" for entry in group.get("defines", ())),
                *(
                    part
                    for entry in group.get("includes", ())
                    for part in (
                        ("-isystem", entry["path"])
                        if entry.get("isSystem")
                        else (f"-I{entry['path']}",)
                    )
                ),
                *(
                    part
                    for entry in group.get("compileCommandFragments", ())
                    for part in shlex.split(entry["fragment"])
                ),
            ),
            include_directories=tuple(map(Path, includes)),
            sources=tuple(
                root / target["sources"][index]["path"] for index in group["sourceIndexes"]
            ),
        )


def _prerequisites(
    members: list[Mapping[str, Any]],
    targets: Mapping[str, Mapping[str, Any]],
    root: Path,
    build_directory: Path,
) -> Iterator[str]:
    objects = (".o", ".obj")
    seen: set[str] = set()
    for member in members:
        for source in member.get("sources", ()):
            path = root / source["path"]
            if source.get("isGenerated") and path.suffix not in (*objects, ".rule"):
                if path.is_relative_to(build_directory):
                    seen.add(path.relative_to(build_directory).as_posix())
                else:
                    seen.add(path.as_posix())
        for dependency in member.get("dependencies", ()):
            target = targets[dependency["id"]]
            if target["type"] == "UTILITY":
                seen.add(target["name"])
    yield from sorted(seen)
