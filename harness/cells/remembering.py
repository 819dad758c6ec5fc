"""Plans and verdicts of earlier runs, found again by all that they depend on.

What a plan or a verdict depends on is digested anew for every cell: the harness's own files, the
build's files, the model's, the subject's, the host, the environment's variables. Where something of
it cannot be told, such as what a container holds, there is no key: then nothing is remembered.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import msgspec

from harness.builds.content import content_of, digest_of_file
from harness.config.memory import Memory, digest_of, own_digest
from harness.config.paths import entries, is_file
from harness.model import (
    Cell,
    CellResult,
    LaunchPlan,
    LaunchTarget,
    Mode,
    Provenance,
    TinyModel,
)
from harness.processes.reaper import OWNER_VARIABLE
from harness.subjects import Costly, Subject

if TYPE_CHECKING:
    from harness.cells.workbench import Workbench

_T = TypeVar("_T")

PLAN: Final = "plan"
VERDICT: Final = "verdict"
_REAL_CARD: Final = "cuda"
_HOME: Final = "{home}"
_PORT: Final = "{port}"
_LARGEST_FILE: Final = 256 * 1024


class RememberedVerdicts(Protocol):
    """The verdicts of earlier runs."""

    def recall(self, cell: Cell, key: str | None) -> CellResult | None:
        """What the cell came to in an earlier run; None where it is to be run."""

    def settle(self, cell: Cell, result: CellResult) -> None:
        """Keep what the cell came to, where it tells of the build."""

    def give_up(self, cell: Cell) -> None:
        """Keep nothing of a cell."""


class KeptPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, with marks where it names the port and the home that it was made with.

    Attributes:
        argv: As the plan's, and so the others.
        places: What it names below its home: the text of a file, or None for a directory.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    resolved_mode: Mode | None
    reason: str | None
    expects: dict[str, Any]
    places: dict[str, str | None]


def planned(
    subject: Subject, cell: Cell, target: LaunchTarget, workbench: "Workbench"
) -> LaunchPlan:
    """The subject's plan: remembered, where it is costly and nothing changed since; else made.

    Each try of a cell has its own, so that a plan that varies is told by the second one.

    Raises:
        SubjectError: The subject did not produce a plan.
    """
    if not isinstance(subject, Costly) or workbench.memory is None:
        return subject.plan(cell.request, target)
    home = workbench.environment(cell.environment).home
    key = _plan_key(subject, cell, target, workbench, workbench.memory)
    kept = None if key is None or workbench.fresh else workbench.memory.get(PLAN, key)
    plan = None if kept is None else _restored(kept, home, target.port)
    workbench.planned["made" if plan is None else "remembered"] += 1
    if plan is not None:
        return plan
    plan = subject.plan(cell.request, target)
    if key is not None and (kept := _kept(plan, home, target)) is not None:
        workbench.memory.put(PLAN, key, kept)
    return plan


def _plan_key(
    subject: Costly, cell: Cell, target: LaunchTarget, workbench: "Workbench", memory: Memory
) -> str | None:
    around = _surroundings(cell, target.model, workbench, memory)
    if around is None:
        return None
    place = cell.build, cell.environment, workbench.attempt
    return digest_of(PLAN, subject.content, place, cell.request, around)


def _surroundings(
    cell: Cell, model: TinyModel, workbench: "Workbench", memory: Memory
) -> object | None:
    """What every plan and launch of a cell depends on; None where not all of it is known."""
    around = _of_build(cell.build, cell.environment, workbench, memory)
    of_model = digest_of_model(model, memory)
    if around is None or of_model is None:
        return None
    return own_digest(), around, of_model


def digest_of_model(model: TinyModel, memory: Memory) -> str | None:
    """All that is known of a model, and its files; None where one cannot be read."""
    models = [path for path in (model.path, model.draft_path) if path is not None]
    try:
        files = {str(path): digest_of_file(path, memory) for path in models}
    except OSError:
        return None
    return digest_of(model.name, model.has_mtp, model.parameters, files)


def _of_build(
    build_id: str, environment: str, workbench: "Workbench", memory: Memory
) -> object | None:
    """A build, an environment and the host; None where not all of them is known.

    On a real card the driver and what other programs do there are not known.
    """
    if environment == _REAL_CARD:
        return None
    build = workbench.build(build_id)
    content = content_of(build, workbench.store.directory(build_id), memory)
    if content is None:
        return None
    opened = workbench.environment(environment)
    variables = {
        name: value.replace(str(opened.home), _HOME)
        for name, value in workbench.variables(build_id, environment).items()
        if name != OWNER_VARIABLE
    }
    host = workbench.store.host, opened.host, sorted(workbench.one_core.items())
    layer = workbench.layer(build_id, environment)
    card = layer.absent, sorted(layer.variables)
    return content, build.build.number, variables, card, host


def asked_once(
    kind: str,
    place: tuple[str, str],
    workbench: "Workbench",
    ask: Callable[[], _T],
    form: Any,
    *depends: object,
) -> _T:
    """What a program answers that answers the same in every run; asked where nobody has.

    Args:
        kind: What is asked.
        place: The build whose program it is, and the environment that it is asked in.
        workbench: Has both.
        ask: Asks it; None is no answer, and so is an error.
        form: The type of an answer.
        depends: What the answer depends on besides build, environment, host and harness.
    """
    memory = workbench.memory
    if memory is not None and place not in workbench.surroundings:
        workbench.surroundings[place] = _of_build(*place, workbench, memory)
    around = workbench.surroundings.get(place)
    if memory is None or around is None:
        return ask()
    key = digest_of(kind, own_digest(), place, around, *depends)
    kept = None if workbench.fresh or workbench.attempt > 1 else memory.get(kind, key)
    with suppress(msgspec.MsgspecError):
        if kept is not None:
            known: _T = msgspec.json.decode(kept, type=form)
            return known
    answer = ask()
    if answer is not None:
        memory.put(kind, key, msgspec.json.encode(answer))
    return answer


def _kept(plan: LaunchPlan, home: Path, target: LaunchTarget) -> bytes | None:
    """A plan as it is kept; None where another launch could not do with it."""
    if plan.hurried or plan.files or plan.provenance is not Provenance.HERE:
        return None
    places: dict[str, str | None] = {}
    port, root = str(target.port), str(home)
    # The port is marked where it is a word of its own in argv, and nowhere else.
    unmarked = (*plan.env.values(), *(word for word in plan.argv if word != port))
    if any(port in word for word in unmarked):
        return None
    # A variable may hold a list of places, as LD_LIBRARY_PATH does in the spoof.
    listed = (value.split(os.pathsep) for value in plan.env.values())
    for word in chain(plan.argv, *listed):
        if root not in word:
            continue
        path = Path(word)
        if not path.is_relative_to(home) or not path.exists():
            return None
        name = path.relative_to(home).as_posix()
        if path.is_dir():
            places[name] = None
            continue
        try:
            if path.stat().st_size > _LARGEST_FILE:
                return None
            places[name] = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
    marked = KeptPlan(
        argv=tuple(_PORT if word == port else word.replace(root, _HOME) for word in plan.argv),
        env={name: value.replace(root, _HOME) for name, value in plan.env.items()},
        resolved_mode=plan.resolved_mode,
        reason=plan.reason,
        expects=dict(plan.expects),
        places=places,
    )
    return msgspec.json.encode(marked)


def _restored(kept: bytes, home: Path, port: int) -> LaunchPlan | None:
    """The plan for this home and this port, with what it names laid there."""
    try:
        found = msgspec.json.decode(kept, type=KeptPlan)
        for name, text in found.places.items():
            path = home / name
            if text is None:
                path.mkdir(parents=True, exist_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
    except (msgspec.MsgspecError, OSError):
        return None
    root = str(home)
    return LaunchPlan(
        argv=tuple(str(port) if w == _PORT else w.replace(_HOME, root) for w in found.argv),
        env={name: value.replace(_HOME, root) for name, value in found.env.items()},
        resolved_mode=found.resolved_mode,
        reason=found.reason,
        expects=found.expects,
    )


def verdict_key(
    cell: Cell,
    plans: Iterable[LaunchPlan],
    model: TinyModel,
    port: int,
    workbench: "Workbench",
) -> str | None:
    """The digest of all that a cell's verdict depends on; None where not all of it is known.

    Args:
        cell: The cell.
        plans: As the subject made it, and as it is launched.
        model: The file that is loaded.
        port: Where the server is to listen.
        workbench: Has the build and the environment.
    """
    memory = workbench.memory
    if workbench.verdicts is None or memory is None:
        return None
    around = _surroundings(cell, model, workbench, memory)
    if around is None:
        return None
    home = str(workbench.environment(cell.environment).home)
    told: list[object] = []
    for plan in plans:
        words = [_PORT if w == str(port) else w.replace(home, _HOME) for w in plan.argv]
        env = {name: value.replace(home, _HOME) for name, value in plan.env.items()}
        try:
            files = dict(_files_named((*plan.argv, *plan.env.values()), home, memory))
            laid = {name: _laid(content, memory) for name, content in plan.files.items()}
        except OSError:
            return None
        rest = (plan.resolved_mode, plan.reason, plan.provenance, dict(plan.expects))
        told.append((words, env, files, laid, rest))
    return digest_of(VERDICT, cell, told, around)


def _laid(content: str | Path, memory: Memory) -> str:
    return digest_of(content) if isinstance(content, str) else digest_of_file(content, memory)


def _files_named(words: Iterable[str], home: str, memory: Memory) -> Iterator[tuple[str, str]]:
    """Whatever a command line names that is there, with its digest.

    Raises:
        OSError: It is a directory with something in it, or cannot be read.
    """
    for word in words:
        for part in {word, word.partition("=")[2], *word.split(",")}:
            path = Path(part)
            if not path.is_absolute():
                continue
            if is_file(path):
                yield part.replace(home, _HOME), digest_of_file(path, memory)
            elif entries(path):
                raise OSError(f"{part}: what it holds is not digested")
