"""Plans and verdicts are found again only where all that they depend on is the same."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.builds.hosts import HostFingerprint
from harness.cells import remembering
from harness.cells.remembering import VERDICT, planned, verdict_key
from harness.cells.workbench import OpenEnvironment, Workbench
from harness.config.memory import Memory
from harness.matrix.reuse import Verdicts
from harness.model import (
    Cell,
    CellResult,
    Failure,
    FailureKind,
    Gpu,
    HostProfile,
    LaunchPlan,
    LaunchTarget,
    LoadRequest,
    Mode,
    TinyModel,
    Verdict,
)
from harness.report.jsonl import encode_result
from tests.unit.results import lengths, result

REQUEST = LoadRequest(model="tiny", mode="mtp", draft_n_max=5)
CELL = Cell(build="b1", subject="studio", environment="cpu", request=REQUEST)
PORT = 40123
HOST = HostFingerprint(machine="m", features=("f",), libc="l", kernel="k", container=False)


@dataclass
class Studio:
    """A subject that counts how often it plans."""

    plan_: LaunchPlan
    content: str = "files"
    name: str = "studio"
    asked: list[int] = field(default_factory=list)

    def plan(self, _: LoadRequest, target: LaunchTarget) -> LaunchPlan:
        self.asked.append(target.port)
        words = [str(target.port) if word == str(PORT) else word for word in self.plan_.argv]
        return replace(self.plan_, argv=tuple(words))


class Place:
    """A workbench without a server: its build, models and environments are files in a directory."""

    def __init__(self, directory: Path, memory: Memory) -> None:
        self.directory = directory
        self.program = directory / "builds" / "b1" / "llama-server"
        self.program.parent.mkdir(parents=True, exist_ok=True)
        self.program.write_bytes(b"a program")
        model = directory / "tiny.gguf"
        model.write_bytes(b"weights")
        self.model = TinyModel(name="tiny", path=model, has_mtp=True, parameters=1)
        self.home = directory / "home"
        self.home.mkdir(exist_ok=True)
        manifest = SimpleNamespace(source="package", env={}, binary="llama-server")
        build = SimpleNamespace(
            manifest=manifest, binary=self.program, build=SimpleNamespace(number=1)
        )
        store = SimpleNamespace(host=HOST, directory=lambda name: directory / "builds" / name)
        self.bench = Workbench(
            catalogue=cast("Any", None),
            store=cast("Any", store),
            models={},
            scratch=directory,
            owner="o",
            resources=ExitStack(),
            memory=memory,
        )
        variables = {"PATH": "/bin", "HOME": str(self.home), "LLAMA_HARNESS_OWNER": directory.name}
        self.bench._builds["b1"] = cast("Any", build)
        for name in ("cpu", "cuda", "cuda-spoof"):
            self.bench._environments[name] = OpenEnvironment(
                variables=variables, host=HostProfile(), home=self.home
            )
            self.bench._variables["b1", name] = variables

    def plan(self, subject: Studio, cell: Cell = CELL, port: int = PORT) -> LaunchPlan:
        target = LaunchTarget(binary=self.program, model=self.model, port=port, env={})
        return planned(subject, cell, target, self.bench)

    def key(self, *argv: str, cell: Cell = CELL, port: int = PORT, **rest: Any) -> str | None:
        plan = LaunchPlan(argv=argv or ("--port", str(port), "-m", "m"), **rest)
        return verdict_key(cell, (plan, plan), self.model, port, self.bench)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    with closing(Memory(tmp_path / "kept.sqlite")) as opened:
        yield opened


@pytest.fixture
def place(tmp_path: Path, memory: Memory) -> Place:
    return Place(tmp_path / "first", memory)


@pytest.fixture
def studio() -> Studio:
    return Studio(LaunchPlan(argv=("--port", str(PORT)), env={"A": "b"}, resolved_mode=Mode.MTP))


def test_a_plan_is_made_once(place: Place, studio: Studio, tmp_path: Path, memory: Memory) -> None:
    first = place.plan(studio)
    again = Place(tmp_path / "first", memory).plan(studio)
    assert again == first
    assert len(studio.asked) == 1
    assert place.bench.planned == {"made": 1}


def test_a_remembered_plan_names_this_run_s_port_and_home(
    place: Place, studio: Studio, tmp_path: Path, memory: Memory
) -> None:
    slots, template = place.home / ".app" / "slots", place.home / "tmp" / "t.jinja"
    slots.mkdir(parents=True)
    template.parent.mkdir()
    template.write_text("{{ x }}", encoding="utf-8")
    argv = ("--port", str(PORT), "--slot-save-path", str(slots), "-f", str(template))
    libraries = os.pathsep.join((str(slots), "/usr/lib"))
    studio.plan_ = LaunchPlan(argv=argv, env={"HF_HOME": str(slots), "LIBRARIES": libraries})
    place.plan(studio)
    # Another run has another home; its build and model lie where they lay.
    home = tmp_path / "another home"
    home.mkdir()
    for name, opened in list(place.bench._environments.items()):
        variables = {
            key: v.replace(str(place.home), str(home)) for key, v in opened.variables.items()
        }
        place.bench._environments[name] = replace(opened, variables=variables, home=home)
        place.bench._variables["b1", name] = variables
    found = place.plan(studio, port=815)
    assert len(studio.asked) == 1
    assert found.argv[:4] == ("--port", "815", "--slot-save-path", str(home / ".app" / "slots"))
    there = str(home / ".app" / "slots")
    assert found.env == {"HF_HOME": there, "LIBRARIES": os.pathsep.join((there, "/usr/lib"))}
    assert (home / ".app" / "slots").is_dir()
    assert Path(found.argv[5]).read_text(encoding="utf-8") == "{{ x }}"
    assert memory.get("plan", "") is None


CHANGES: dict[str, Callable[[Place, Studio], object]] = {
    "program": lambda place, _: place.program.write_bytes(b"another program"),
    "library": lambda place, _: place.program.with_name("libggml.so").write_bytes(b""),
    "model": lambda place, _: place.model.path.write_bytes(b"other weights"),
    "variable": lambda place, _: place.bench._variables.update(
        {("b1", "cpu"): {**place.bench._variables["b1", "cpu"], "PATH": "/opt/bin:/bin"}}
    ),
    "card": lambda place, _: place.bench._environments.update(
        cpu=replace(
            place.bench._environments["cpu"],
            host=HostProfile(gpus=(Gpu(index=0, name="G", memory_total_mib=9, memory_free_mib=9),)),
        )
    ),
    "subject": lambda _, studio: setattr(studio, "content", "other files"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_plan_is_made_anew_where_something_changed(
    what: str, place: Place, studio: Studio
) -> None:
    place.plan(studio)
    CHANGES[what](place, studio)
    place.plan(studio)
    assert len(studio.asked) == 2


@pytest.mark.parametrize("what", sorted(CHANGES.keys() - {"subject"}))
def test_a_verdict_has_another_key_where_something_changed(
    what: str, place: Place, studio: Studio
) -> None:
    place.bench.verdicts = Verdicts(memory=cast("Memory", place.bench.memory))
    before = place.key()
    assert before is not None
    assert place.key() == before
    CHANGES[what](place, studio)
    assert place.key() != before


def test_a_verdict_has_another_key_where_the_cell_or_its_command_line_differs(
    place: Place, tmp_path: Path
) -> None:
    place.bench.verdicts = Verdicts(memory=cast("Memory", place.bench.memory))
    template = tmp_path / "t.jinja"
    template.write_text("one", encoding="utf-8")
    keys = [
        place.key(),
        place.key("--port", str(PORT), "-m", "other"),
        place.key(env={"LLAMA_ARG_CTX_SIZE": "1"}),
        place.key(reason="it cannot"),
        place.key(resolved_mode=Mode.MTP),
        place.key(files={"config.ini": "a = 1"}),
        place.key(files={"config.ini": "a = 2"}),
        place.key(expects={"slots": 1}),
        place.key("--chat-template-file", str(template)),
        place.key(f"--chat-template-file={template}"),
        place.key(cell=replace(CELL, request=replace(REQUEST, draft_n_max=6))),
        place.key(cell=replace(CELL, subject="other")),
        place.key(cell=replace(CELL, environment="cuda-spoof")),
    ]
    template.write_text("two", encoding="utf-8")
    keys += [
        place.key("--chat-template-file", str(template)),
        place.key(f"--chat-template-file={template}"),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)


def test_the_port_is_no_part_of_the_key(place: Place) -> None:
    place.bench.verdicts = Verdicts(memory=cast("Memory", place.bench.memory))
    assert place.key(port=PORT) == place.key(port=815)


def test_another_harness_or_host_has_other_keys(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.bench.verdicts = Verdicts(memory=cast("Memory", place.bench.memory))
    keys = {place.key()}
    with monkeypatch.context() as then:
        then.setattr(remembering, "own_digest", lambda: "another")
        keys.add(place.key())
    other = SimpleNamespace(**{**vars(place.bench.store), "host": "another"})
    place.bench.store = cast("Any", other)
    assert len({*keys, place.key()}) == 3


@pytest.mark.parametrize("why", ["a real card", "a local build", "a full directory", "no memory"])
def test_where_not_all_is_known_there_is_no_key(why: str, place: Place, tmp_path: Path) -> None:
    place.bench.verdicts = Verdicts(memory=cast("Memory", place.bench.memory))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").touch()
    match why:
        case "a real card":
            assert place.key(cell=replace(CELL, environment="cuda")) is None
        case "a local build":
            cast("Any", place.bench.build("b1").manifest).source = "local"
            assert place.key() is None
        case "a full directory":
            assert place.key("--models-dir", str(tmp_path / "models")) is None
        case _:
            place.bench.memory = None
            assert place.key() is None


@pytest.mark.parametrize(
    "plan",
    [
        LaunchPlan(argv=("--port", str(PORT)), hurried=True),
        LaunchPlan(argv=(f"--url=http://127.0.0.1:{PORT}",)),
        LaunchPlan(argv=("--port", str(PORT)), files={"a": "b"}),
        LaunchPlan(argv=("--port", str(PORT)), env={"URL": f"http://127.0.0.1:{PORT}"}),
        LaunchPlan(argv=("-m", "m"), env={"LLAMA_ARG_PORT": str(PORT)}),
    ],
)
def test_a_plan_that_another_launch_could_not_do_with_is_not_kept(
    plan: LaunchPlan, place: Place, studio: Studio
) -> None:
    studio.plan_ = plan
    place.plan(studio)
    place.plan(studio)
    assert len(studio.asked) == 2


def test_a_file_of_the_home_that_is_gone_is_not_kept(place: Place, studio: Studio) -> None:
    studio.plan_ = LaunchPlan(argv=("-f", str(place.home / "gone")))
    place.plan(studio)
    place.plan(studio)
    assert len(studio.asked) == 2


def test_fresh_makes_plans_anew_and_remembers_the_new_ones(place: Place, studio: Studio) -> None:
    place.plan(studio)
    place.bench.fresh = True
    studio.plan_ = replace(studio.plan_, env={"A": "new"})
    assert place.plan(studio).env == {"A": "new"}
    place.bench.fresh = False
    assert place.plan(studio).env == {"A": "new"}
    assert len(studio.asked) == 2


def test_the_second_try_of_a_cell_has_a_plan_of_its_own(place: Place, studio: Studio) -> None:
    """A plan that varies must be told; yet a second run plans neither try again."""
    place.plan(studio)
    place.bench.attempt = 2
    studio.plan_ = replace(studio.plan_, env={"A": "varies"})
    assert place.plan(studio).env == {"A": "varies"}
    assert place.plan(studio).env == {"A": "varies"}
    place.bench.attempt = 1
    assert place.plan(studio).env == {"A": "b"}
    assert len(studio.asked) == 2


PASSES = replace(result(effective={"draft-mtp": lengths(5)}), request=REQUEST)


def verdicts(memory: Memory, *, sampled: bool = False, fresh: bool = False) -> Verdicts:
    return Verdicts(memory=memory, sampled=lambda: sampled, fresh=fresh)


def test_a_verdict_is_taken_where_its_key_is_known_and_says_since_when(memory: Memory) -> None:
    first = verdicts(memory)
    assert first.recall(CELL, "key") is None
    first.settle(CELL, PASSES)
    found = verdicts(memory).recall(CELL, "key")
    assert found is not None
    assert found.remembered
    assert replace(found, remembered="") == PASSES
    assert verdicts(memory).recall(CELL, "another key") is None
    assert verdicts(memory).recall(CELL, None) is None
    assert verdicts(memory, fresh=True).recall(CELL, "key") is None


@pytest.mark.parametrize(
    "one",
    [
        replace(PASSES, status=Verdict.ERROR),
        replace(PASSES, status=Verdict.FLAKY),
        replace(PASSES, status=Verdict.KNOWN),
        *(
            replace(PASSES, status=Verdict.FAIL, failure=Failure(kind=kind, message=""))
            for kind in (FailureKind.TIMEOUT, FailureKind.EARLY_EXIT, FailureKind.PORT_IN_USE)
        ),
        replace(
            PASSES,
            status=Verdict.FAIL,
            failure=Failure(kind=FailureKind.BAD_VALUE, message="", explained=False),
        ),
    ],
    ids=lambda one: f"{one.status.value} {one.failure.kind.value if one.failure else ''}",
)
def test_what_says_nothing_of_the_build_is_not_kept(one: CellResult, memory: Memory) -> None:
    first = verdicts(memory)
    first.recall(CELL, "key")
    first.settle(CELL, one)
    assert memory.get(VERDICT, "key") is None


@pytest.mark.parametrize("status", [Verdict.PASS, Verdict.DEGRADED, Verdict.FAIL])
def test_what_says_something_of_the_build_is_kept(status: Verdict, memory: Memory) -> None:
    first = verdicts(memory)
    first.recall(CELL, "key")
    first.settle(CELL, replace(PASSES, status=status))
    found = verdicts(memory).recall(CELL, "key")
    assert found is not None
    assert found.status is status


def test_a_sample_that_comes_out_the_same_changes_nothing(memory: Memory) -> None:
    first = verdicts(memory)
    first.recall(CELL, "key")
    first.settle(CELL, PASSES)
    memory.put(VERDICT, "other", encode_result(PASSES))
    second = verdicts(memory, sampled=True)
    assert second.recall(CELL, "key") is None
    assert second.recall(CELL, "key") is None
    second.settle(CELL, replace(PASSES, wall_ms=9999, startup_ms=3))
    assert second.differing == []
    assert memory.get(VERDICT, "other") is not None


WRONG = (
    replace(PASSES, status=Verdict.DEGRADED),
    replace(PASSES, effective={"speculation": {"draft-mtp": lengths(6)}}),
    replace(result(failed=("draft-n-max",)), id=PASSES.id),
)


@pytest.mark.parametrize("wrong", WRONG, ids=["verdict", "effective", "check"])
def test_a_sample_that_differs_stops_the_reuse(wrong: CellResult, memory: Memory) -> None:
    memory.put(VERDICT, "key", encode_result(replace(wrong, remembered="then")))
    memory.put(VERDICT, "other", encode_result(replace(PASSES, remembered="then")))
    second = verdicts(memory, sampled=True)
    assert second.recall(CELL, "key") is None
    second.settle(CELL, PASSES)
    assert second.differing == [PASSES.id]
    assert verdicts(memory).recall(CELL, "other") is None
    found = verdicts(memory).recall(CELL, "key")
    assert found is not None
    assert found.status is Verdict.PASS


def test_a_sample_that_the_host_spoilt_proves_nothing(memory: Memory) -> None:
    memory.put(VERDICT, "key", encode_result(replace(PASSES, remembered="then")))
    second = verdicts(memory, sampled=True)
    second.recall(CELL, "key")
    second.settle(CELL, replace(PASSES, status=Verdict.ERROR))
    assert second.differing == []
    assert memory.get(VERDICT, "key") is not None


def test_a_line_that_cannot_be_read_is_no_verdict(memory: Memory) -> None:
    memory.put(VERDICT, "key", b"{}")
    assert verdicts(memory).recall(CELL, "key") is None


def test_two_in_a_hundred_are_run_all_the_same(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory.put(VERDICT, "key", encode_result(replace(PASSES, remembered="then")))
    numbers = iter([0.5, 0.019, 0.02])
    monkeypatch.setattr("random.random", lambda: next(numbers))
    taken = [Verdicts(memory=memory).recall(CELL, "key") is not None for _ in range(3)]
    assert taken == [True, False, True]
