import json
import shlex
import shutil
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness.errors import SubjectError
from harness.model import Mode
from harness.subjects import open_subject
from harness.subjects.command import OUTPUT_LIMIT, CommandSubject, Question, schema
from tests.unit.gone import is_gone
from tests.unit.subjects.launch_targets import PORT, request, target

ROOT = Path(__file__).parents[3]


def program(tmp_path: Path, code: str) -> CommandSubject:
    script = tmp_path / "generator.py"
    script.write_text(code)
    return CommandSubject("command:test", (sys.executable, "-S", str(script)), timeout_s=60)


def printing(tmp_path: Path, answer: object) -> CommandSubject:
    return program(tmp_path, f"print({json.dumps(json.dumps(answer))})")


def test_the_program_reads_the_request_and_its_answer_is_the_plan(tmp_path: Path) -> None:
    subject = program(
        tmp_path,
        "import json, sys\n"
        "asked = json.load(sys.stdin)\n"
        "print(json.dumps({'argv': ['--asked', json.dumps(asked, sort_keys=True)],\n"
        "  'env': {'A': 'b'}, 'resolved_mode': 'ngram', 'reason': 'no MTP'}))\n",
    )
    wish = request(mode=" MTP ", draft_n_max=5, extra_args=("--jinja",), cache_type="q8_0")
    plan = subject.plan(wish, target(tmp_path, draft=True))
    assert plan.resolved_mode is Mode.NGRAM
    assert plan.reason == "no MTP"
    assert plan.env == {"A": "b"}
    asked = json.loads(plan.argv[1])
    assert asked == {
        "protocol": 2,
        "request": {
            "model": "tiny",
            "mode": " MTP ",
            "draft_n_max": 5,
            "extra_args": ["--jinja"],
            "context_length": 512,
            "cache_type": "q8_0",
            "chat_template": None,
        },
        "target": {
            "binary": str(tmp_path / "llama-server"),
            "model_path": str(Path("/models/tiny.gguf")),
            "draft_model_path": str(Path("/models/draft.gguf")),
            "host": "127.0.0.1",
            "port": PORT,
        },
    }
    assert msgspec.convert(asked, Question).target.port == PORT


def test_the_program_sees_the_cells_environment_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_ARG_DRAFT_MAX", "16")
    subject = program(
        tmp_path,
        "import json, os\nprint(json.dumps({'argv': ['--seen', *sorted(os.environ)]}))\n",
    )
    seen = subject.plan(request(), target(tmp_path)).argv
    assert "HOME" in seen
    assert "LLAMA_ARG_DRAFT_MAX" not in seen


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit(3)", "exited with status 3"),
        ("raise ValueError('no such model')", "ValueError: no such model"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "killed by signal 15"),
        ("print('starting up')", "printed no JSON"),
        ("pass", "its standard output is empty"),
        ("print('{\"argv\": [1]}')", "Expected `str`, got `int`"),
        ("print('{\"args\": []}')", "unknown field `args`"),
        ("print('{}')", "missing required field `argv`"),
        ('print(\'{"argv": [], "resolved_mode": "fast"}\')', "Invalid enum value 'fast'"),
        ('print(\'{"argv": ["--alias", "a\\\\u0000b"]}\')', "NUL byte"),
        ('print(\'{"argv": [], "env": {"A": "\\\\u0000"}}\')', "not an environment variable"),
        ('print(\'{"argv": ["/opt/llama-server", "-m"]}\')', "argv begins after it"),
        ("import sys; sys.stdout.buffer.write(b'\\xff\\xfe')", "printed no JSON"),
    ],
)
def test_what_is_no_plan_is_said_in_one_line(tmp_path: Path, code: str, said: str) -> None:
    if "signal" in code and sys.platform == "win32":
        pytest.skip("Windows has no signals")
    with pytest.raises(SubjectError) as caught:
        program(tmp_path, code).plan(request(), target(tmp_path))
    assert said in str(caught.value)
    assert str(caught.value).startswith("command:test: ")
    assert "\n" not in str(caught.value)


def test_a_program_that_hangs_is_killed_with_what_it_started(tmp_path: Path) -> None:
    script = tmp_path / "generator.py"
    script.write_text(
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "time.sleep(60)\n"
    )
    subject = CommandSubject("command:test", (sys.executable, "-S", str(script)), timeout_s=5)
    started = time.monotonic()
    with pytest.raises(SubjectError, match="gave no plan within 5 s; killed"):
        subject.plan(request(), target(tmp_path))
    assert time.monotonic() - started < 30
    pid = int((tmp_path / "pid").read_text())
    assert is_gone(pid)


def test_a_background_process_does_not_hold_the_plan_back(tmp_path: Path) -> None:
    subject = program(
        tmp_path,
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        'print(\'{"argv": ["--jinja"]}\')\n',
    )
    started = time.monotonic()
    assert subject.plan(request(), target(tmp_path)).argv == ("--jinja",)
    assert time.monotonic() - started < 30


def test_endless_output_is_cut_off(tmp_path: Path) -> None:
    subject = program(tmp_path, "while True: print('x' * 65536)")
    with pytest.raises(SubjectError, match=f"printed more than {OUTPUT_LIMIT} bytes"):
        subject.plan(request(), target(tmp_path))


def test_a_program_that_reads_nothing_is_fine(tmp_path: Path) -> None:
    subject = program(tmp_path, "import os; os.close(0); print('{\"argv\": []}')")
    wish = request(extra_args=("x" * 200_000,))
    assert subject.plan(wish, target(tmp_path)).argv == ()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("command:no-such-program-here --x", "there is no program 'no-such-program-here'"),
        ('command:sh "open', "No closing quotation"),
    ],
)
def test_a_program_that_is_not_there(spec: str, said: str) -> None:
    with pytest.raises(SubjectError, match=said), open_subject(spec):
        pass


def test_the_schema_in_the_documentation_is_the_one_in_use() -> None:
    assert (ROOT / "docs" / "subject-protocol.schema.json").read_bytes() == schema()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for a build is a script")
class TestExamples:
    def binary(self, tmp_path: Path, build: str) -> None:
        text = ROOT / "fixtures" / "help" / f"{build}.txt"
        script = tmp_path / "llama-server"
        script.write_text(f"#!/bin/sh\ncat {shlex.quote(str(text))}\n")
        script.chmod(0o755)

    def test_python(self, tmp_path: Path) -> None:
        example = shlex.quote(str(ROOT / "examples" / "subject.py"))
        with open_subject(f"command:{shlex.quote(sys.executable)} {example}") as subject:
            self.binary(tmp_path, "b9246")
            plan = subject.plan(request(draft_n_max=5), target(tmp_path))
            assert plan.argv[-4:] == ("--spec-type", "draft-mtp", "--spec-draft-n-max", "5")
            assert plan.resolved_mode is Mode.MTP
            self.binary(tmp_path, "b8929")
            plan = subject.plan(request(draft_n_max=5), target(tmp_path))
            assert "--spec-type" not in plan.argv
            assert plan.reason is not None

    @pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
    def test_shell(self, tmp_path: Path) -> None:
        example = shlex.quote(str(ROOT / "examples" / "subject.sh"))
        with open_subject(f"command:sh {example}") as subject:
            plan = subject.plan(request(mode="ngram"), target(tmp_path))
        assert plan.argv == (
            *("-m", "/models/tiny.gguf", "--port", str(PORT), "-c", "512"),
            *("--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", "24"),
            *("--spec-ngram-mod-n-min", "48", "--spec-ngram-mod-n-max", "64"),
        )
        assert plan.resolved_mode is Mode.NGRAM
