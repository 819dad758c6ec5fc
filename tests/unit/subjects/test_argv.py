from pathlib import Path

import pytest

from harness.cells.fitting import fit
from harness.errors import SubjectError
from harness.subjects import open_subject
from harness.subjects.argv_file import read_command_lines
from tests.unit.era import MTP, capabilities
from tests.unit.subjects import launch_targets
from tests.unit.subjects.launch_targets import PORT, request, target

FIXTURES = Path(__file__).parents[3] / "fixtures" / "argv"
MODEL, DRAFT = str(launch_targets.MODEL), str(launch_targets.DRAFT)
CAPABILITIES = capabilities(MTP)


def test_a_file_of_another_host_is_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("llama-server --mmproj /far/away.gguf --jinja")
    with open_subject(f"argv:{path}") as subject:
        where = target(tmp_path)
        fitted = fit(subject.plan(request(), where), CAPABILITIES, where.model, PORT)
    assert fitted.plan.argv == ("-m", MODEL, "--port", str(PORT), "--jinja")
    (remark,) = fitted.left_out
    assert remark.word == "--mmproj"
    assert "/far/away.gguf is not on this host" in remark.why


def plan(
    tmp_path: Path, name: str, text: str, *, entry: str = "", draft: bool = False
) -> tuple[str, ...]:
    path = tmp_path / name
    path.write_text(text)
    spec = f"argv:{path}{entry}"
    with open_subject(spec) as subject:
        assert subject.name == spec
        where = target(tmp_path, draft=draft)
        return fit(subject.plan(request(), where), CAPABILITIES, where.model, PORT).plan.argv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("llama-server -m {model} --port {port} -c 512", f"-m {MODEL} --port {PORT} -c 512"),
        ("-m {model} --port {port}", f"-m {MODEL} --port {PORT}"),
        ("C:/llama/llama-server.exe --jinja", f"-m {MODEL} --port {PORT} --jinja"),
        ("--port 8080 --model '/my models/x.gguf'", f"--port {PORT} --model {MODEL}"),
        ("-hf org/repo:Q4 --hf-file x.gguf --jinja", f"--port {PORT} -m {MODEL} --jinja"),
        ("# a comment\nllama-server \\\n  -fa on", f"-m {MODEL} --port {PORT} -fa on"),
        ("llama-server --api-key k -c 1", f"-m {MODEL} --port {PORT} --api-key k -c 1"),
        ("llama-server --alias a{port}", f"-m {MODEL} --port {PORT} --alias a{PORT}"),
        ("llama-server --host {host}", f"-m {MODEL} --port {PORT} --host 127.0.0.1"),
        ("--flash-attn --ctx-size 1", f"-m {MODEL} --port {PORT} --flash-attn --ctx-size 1"),
        ("--spec-type a --spec-type b", f"-m {MODEL} --port {PORT} --spec-type a --spec-type b"),
    ],
)
def test_a_command_line(tmp_path: Path, text: str, expected: str) -> None:
    assert plan(tmp_path, "line.txt", text) == tuple(expected.split())


def test_variables_before_the_program(tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text("CUDA_VISIBLE_DEVICES=0 LLAMA_ARG_THREADS='2' llama-server --jinja")
    with open_subject(f"argv:{path}") as subject:
        env = subject.plan(request(), target(tmp_path)).env
    assert env == {"CUDA_VISIBLE_DEVICES": "0", "LLAMA_ARG_THREADS": "2"}


@pytest.mark.parametrize("flag", ["-md", "--model-draft", "--spec-draft-model"])
def test_a_draft_model(tmp_path: Path, flag: str) -> None:
    line = f"-m x {flag} draft.gguf --draft-max 4"
    words = plan(tmp_path, "line.txt", line, draft=True)
    assert words[2:8] == ("-m", MODEL, flag, DRAFT, "--draft-max", "4")
    without = plan(tmp_path, "line.txt", line)
    assert without[2:6] == ("-m", MODEL, "--draft-max", "4")


def test_a_json_list(tmp_path: Path) -> None:
    words = plan(tmp_path, "argv.json", '["llama-server", "-m", "a b.gguf", "--alias", "a b"]')
    assert words == ("--port", str(PORT), "-m", MODEL, "--alias", "a b")


LLAMA_SWAP = """
macros:
  server: /opt/llama-server --port ${PORT}
  quiet: ${server} --log-disable
  level: 1
models:
  first:
    cmd: |
      # the fast one
      ${quiet} -m /models/a.gguf \\
        -lv ${level} --alias ${MODEL_ID}
    env:
      - "CUDA_VISIBLE_DEVICES=${level}"
  second:
    macros:
      level: 4
    cmd: ${server} -m b.gguf -lv ${level}
  third:
    cmd: docker run vllm --port ${PORT}
"""


def test_llama_swap(tmp_path: Path) -> None:
    first = plan(tmp_path, "swap.yaml", LLAMA_SWAP, entry="#first")
    assert first == tuple(f"--port {PORT} --log-disable -m {MODEL} -lv 1 --alias first".split())
    second = plan(tmp_path, "swap.yaml", LLAMA_SWAP, entry="#second")
    assert second == tuple(f"--port {PORT} -m {MODEL} -lv 4".split())
    lines = read_command_lines(tmp_path / "swap.yaml")
    assert set(lines) == {"first", "second"}
    assert lines["first"].env == {"CUDA_VISIBLE_DEVICES": "1"}


def test_lemonade(tmp_path: Path) -> None:
    text = '{"user.A": {"ctx_size": 2048, "llamacpp_args": "-fa 1"}, "B": {"ctx_size": 1}}'
    assert plan(tmp_path, "recipe_options.json", text) == tuple(
        f"-m {MODEL} --port {PORT} --ctx-size 2048 -fa 1".split()
    )


def test_gpustack(tmp_path: Path) -> None:
    text = """
backend_name: llama.cpp-custom
default_run_command: '-m {{model_path}} --host 0.0.0.0 --port {{port}} --alias {{model_name}}'
version_configs:
  b9246-custom:
    run_command: 'llama-server -m {{model_path}} --port {{port}} --jinja'
"""
    default = plan(tmp_path, "backend.yaml", text, entry="#llama.cpp-custom")
    assert default == tuple(f"-m {MODEL} --host 0.0.0.0 --port {PORT} --alias tiny".split())
    version = plan(tmp_path, "backend.yaml", text, entry="#b9246-custom")
    assert version == tuple(f"-m {MODEL} --port {PORT} --jinja".split())


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.txt", "", "is empty"),
        ("a.txt", "python serve.py -m x", "is of no known kind; looked for"),
        ("a.txt", "-m 'x", "line 1: a quote stays open"),
        ("a.txt", "--alias a\0b", "NUL byte"),
        ("a.json", "[1]", "strings only"),
        ("a.json", "{", "is not JSON"),
        ("a.json", '{"a": {"b": 1}}', "is of no known kind; looked for a JSON list of arguments"),
        ("a.yaml", "models: [", "is not YAML"),
        ("a.yaml", LLAMA_SWAP, "which one? Write"),
        ("a.yaml", "models: {a: {cmd: 'llama-server ${nope}'}}", "macro ${nope} is not defined"),
        ("a.yaml", "macros: {m: '${m}x'}\nmodels: {a: {cmd: '${m}'}}", "a macro uses itself"),
        ("a.yaml", "models: {a: {cmd: 'vllm serve'}}", "holds no llama-server command line"),
        ("a.json", '{"A": {"llamacpp_args": 5}}', "llamacpp_args is not text"),
        ("a.yaml", "default_run_command: [a]", "the run command is not text"),
    ],
)
def test_a_file_that_is_wrong_is_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(SubjectError) as caught:
        plan(tmp_path, name, text)
    assert said in str(caught.value)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="cannot be read"), open_subject(f"argv:{tmp_path}/x"):
        pass


def test_a_name_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="has no 'fourth'; it has first, second"):
        plan(tmp_path, "swap.yaml", LLAMA_SWAP, entry="#fourth")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("unsloth-5231.txt", "--spec-ngram-size-n 24 --draft-min 48 --draft-max 64"),
        ("textgen-7541.json", "--spec-type ngram-mod --draft-max 48"),
        ("lemonade-2124.json", "--spec-ngram-size-n 24 --draft-min 48 --draft-max 64"),
        ("llama-swap-283.yaml", "--flash-attn --ctx-size 16000"),
        ("textgen-7219.txt", "-fa on"),
        ("unsloth-5575.txt", "--spec-draft-n-max 3 --spec-type ngram-mod"),
        ("llama.cpp-25345.txt", f"-md {DRAFT}"),
    ],
)
def test_command_lines_of_real_reports(tmp_path: Path, name: str, expected: str) -> None:
    with open_subject(f"argv:{FIXTURES / name}") as subject:
        where = target(tmp_path, draft=True)
        argv = fit(subject.plan(request(), where), CAPABILITIES, where.model, PORT).plan.argv
    assert expected in " ".join(argv)
    assert argv.count(MODEL) == argv.count(str(PORT)) == 1
