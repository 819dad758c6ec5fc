from pathlib import Path

import pytest

from harness.errors import SubjectError
from harness.shim.recordings import Launch, Recording, load_recording, save_recording
from harness.subjects import open_subject
from tests.unit.subjects.launch_targets import PORT, request, target


def launch(*argv: str, **env: str) -> Launch:
    return Launch(argv=list(argv), env=env, directory="/srv", time=1.5, pid=7)


def saved(tmp_path: Path, *launches: Launch) -> Path:
    path = tmp_path / "deep" / "app.json"
    recording = Recording(build="b9246", application=["app"], status=0, launches=list(launches))
    save_recording(recording, path)
    assert load_recording(path) == recording
    assert [entry.name for entry in path.parent.iterdir()] == ["app.json"]
    return path


def test_a_recorded_start_is_planned_for_the_cells_model_and_port(tmp_path: Path) -> None:
    path = saved(
        tmp_path, launch("-m", "/home/u/x.gguf", "--port", "8080", "-fa", "on", GGML_A="1")
    )
    with open_subject(f"recording:{path}") as subject:
        plan = subject.plan(request(), target(tmp_path))
    assert plan.argv == ("-m", "/models/tiny.gguf", "--port", str(PORT), "-fa", "on")
    assert plan.env == {"GGML_A": "1"}
    assert subject.name == f"recording:{path}"


def test_one_of_several_starts(tmp_path: Path) -> None:
    path = saved(tmp_path, launch("--jinja"), launch("--no-mmap"))
    with (
        pytest.raises(SubjectError, match="which of 2 starts"),
        open_subject(f"recording:{path}"),
    ):
        pass
    with open_subject(f"recording:{path}#2") as subject:
        assert subject.plan(request(), target(tmp_path)).argv[0] == "--no-mmap"
    for number in ("0", "3", "x"):
        with (
            pytest.raises(SubjectError, match="there is no such start; it has 2"),
            open_subject(f"recording:{path}#{number}"),
        ):
            pass


def test_the_same_start_twice_needs_no_number(tmp_path: Path) -> None:
    path = saved(tmp_path, launch("--jinja"), launch("--jinja"))
    with open_subject(f"recording:{path}") as subject:
        assert subject.plan(request(), target(tmp_path)).argv[0] == "--jinja"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no recording"),
        ("[]", "is no recording"),
        ('{"recording": 2}', "is no recording"),
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
