from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import SubjectError
from harness.model import LaunchPlan, Provenance
from harness.shim.recordings import Launch, Recording, Run, load_recording, save_recording
from harness.subjects import open_subject
from tests.unit.subjects.launch_targets import request, target


def launch(*argv: str, **env: str) -> Launch:
    return Launch(argv=list(argv), env=env, directory="/srv", time=1.5, pid=7)


def run(*launches: Launch, build: str = "b9246", environment: str = "") -> Run:
    return Run(build=build, environment=environment, status=3, launches=list(launches))


def saved(tmp_path: Path, *runs: Run) -> Path:
    path = tmp_path / "deep" / "app.json"
    recording = Recording(application=["app"], runs=list(runs))
    save_recording(recording, path)
    assert load_recording(path) == recording
    assert [entry.name for entry in path.parent.iterdir()] == ["app.json"]
    return path


def planned(spec: str, where: Path, build: str = "b9246", environment: str = "cpu") -> LaunchPlan:
    with open_subject(f"recording:{spec}") as subject:
        assert subject.name == f"recording:{spec}"
        cell = replace(target(where), build=build, environment=environment)
        return subject.plan(request(), cell)


def test_a_recorded_start_is_planned_as_it_was_written(tmp_path: Path) -> None:
    words = ("-m", "/home/u/x.gguf", "--port", "8080", "-fa", "on")
    plan = planned(str(saved(tmp_path, run(launch(*words, GGML_A="1")))), tmp_path)
    assert plan.argv == words
    assert plan.env == {"GGML_A": "1"}
    assert plan.provenance is Provenance.WHOLE


def test_one_of_several_starts(tmp_path: Path) -> None:
    path = saved(tmp_path, run(launch("--jinja"), launch("--no-mmap")))
    with pytest.raises(SubjectError, match="which of 2 starts"):
        planned(str(path), tmp_path)
    assert planned(f"{path}#2", tmp_path).argv == ("--no-mmap",)
    for number in ("0", "3", "x"):
        with pytest.raises(SubjectError, match="there is no such start; it has 2 on b9246"):
            planned(f"{path}#{number}", tmp_path)


def test_the_same_start_twice_needs_no_number(tmp_path: Path) -> None:
    path = saved(tmp_path, run(launch("--jinja"), launch("--jinja")))
    assert planned(str(path), tmp_path).argv == ("--jinja",)


def test_starts_that_differ_in_a_variable_need_a_number(tmp_path: Path) -> None:
    path = saved(tmp_path, run(launch(LLAMA_ARG_MODEL="a"), launch(LLAMA_ARG_MODEL="b")))
    with pytest.raises(SubjectError, match="which of 2 starts"):
        planned(str(path), tmp_path)
    assert planned(f"{path}#2", tmp_path).env == {"LLAMA_ARG_MODEL": "b"}


def test_a_cell_gets_what_was_recorded_on_its_build(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        run(launch("--draft-max", "4"), build="b8929"),
        run(launch("--spec-draft-n-max", "4")),
        run(build="b9464"),
    )
    assert planned(str(path), tmp_path, "b8929").argv == ("--draft-max", "4")
    assert planned(str(path), tmp_path, "b9246").argv == ("--spec-draft-n-max", "4")
    assert planned(f"{path}@b8929", tmp_path, "b9246").argv == ("--draft-max", "4")
    assert planned(f"{path}@b8929#1", tmp_path, "b9246").argv == ("--draft-max", "4")
    with pytest.raises(SubjectError, match="on b9464 the application started no server and ended"):
        planned(str(path), tmp_path, "b9464")
    with pytest.raises(SubjectError, match=r"recorded on b8929, b9246, b9464, not on b1,.*@b8929"):
        planned(str(path), tmp_path, "b1")
    with pytest.raises(SubjectError, match="not on b1"):
        planned(f"{path}@b1", tmp_path, "b8929")


def test_a_cell_gets_what_was_recorded_in_its_environment(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        run(launch("-ngl", "0"), environment="cpu"),
        run(launch("-ngl", "99"), environment="cuda-spoof"),
        run(launch("-ngl", "7"), build="b1", environment="cuda-spoof"),
    )
    assert planned(str(path), tmp_path, environment="cpu").argv == ("-ngl", "0")
    assert planned(str(path), tmp_path, environment="cuda-spoof").argv == ("-ngl", "99")
    with pytest.raises(SubjectError, match="recorded in cuda-spoof, not in cpu"):
        planned(str(path), tmp_path, "b1")


def test_a_recording_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old@home.json"
    path.write_text(
        '{"recording": 1, "build": "b9246", "application": ["app"], "status": 0, "launches": '
        '[{"argv": ["--jinja"], "env": {}, "directory": "/", "time": 1, "pid": 2}]}'
    )
    assert planned(str(path), tmp_path).argv == ("--jinja",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no recording"),
        ("[]", "is no recording"),
        ('{"recording": 3}', "is no recording"),
        (
            '{"recording": 1, "build": "b1", "application": [], "status": 0, "launches": []}',
            "started no server",
        ),
    ],
)
def test_what_is_no_recording(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(SubjectError, match=said), open_subject(f"recording:{path}"):
        pass


def test_a_recording_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="cannot be read"), open_subject("recording:/no/file"):
        pass
