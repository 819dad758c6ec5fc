"""Compose, Kubernetes, Helm, and the files of applications."""

from pathlib import Path

import pytest

from harness.errors import FormatError
from tests.unit.formats.reading import only, read

COMPOSE = """
x-common: &common
  image: ghcr.io/ggml-org/llama.cpp:server-cuda
  environment: &env
    LLAMA_ARG_CTX_SIZE: ${CTX:-4096}
    HF_TOKEN: ${HF_TOKEN}
    LLAMA_API_KEY:
    PASSED:
services:
  merged:
    <<: *common
    environment:
      <<: *env
      LLAMA_ARG_N_PARALLEL: 2
    command: -m /models/${MODEL:?set it} --port ${PORT} --alias "a b" $$X
  shell:
    image: x
    env_file:
      - path: a.env
      - missing.env
    entrypoint: ["/bin/sh", "-c"]
    command:
      - |
        exec /app/llama-server -m /models/b.gguf \\
          -c $$CTX --jinja
  tools:
    image: "${IMAGE:-ghcr.io/ggml-org/llama.cpp:full}"
    command: --server -m c.gguf --samplers top_k;top_p
  built:
    build: .
    command: ["./llama-server", "-m", "/m/${FILE:-x.gguf}", "-c", 512]
  only-env:
    image: my/llama-server:x
    environment: ["LLAMA_ARG_MODEL=/m.gguf", "PASSED", "FROM_HERE"]
  folded:
    image: ghcr.io/ggml-org/llama.cpp:server
    command: -m a \\
      -c 2
  other:
    image: vllm/vllm-openai
    command: --model x --port 8000
  swap:
    image: ghcr.io/mostlygeek/llama-swap:cuda
    command: -config /app/config.yaml
"""


def test_compose(tmp_path: Path) -> None:
    files = {".env": "PASSED=yes\nCTX=1024\n", "a.env": 'LLAMA_ARG_X="q r"\nY=${CTX}\n'}
    lines = read(tmp_path, "compose.yml", COMPOSE, files)
    assert {name: list(line.words) for name, line in lines.items()} == {
        "merged": ["-m", "/models/${MODEL}", "--port", "${PORT}", "--alias", "a b", "$X"],
        "shell": ["-m", "/models/b.gguf", "-c", "$CTX", "--jinja"],
        # A semicolon without quotes ends what Compose reads.
        "tools": ["-m", "c.gguf", "--samplers", "top_k"],
        "built": ["-m", "/m/x.gguf", "-c", "512"],
        "only-env": [],
        # A backslash in folded text is followed by a blank, which it makes part of the word.
        "folded": ["-m", "a", " -c", "2"],
    }
    assert lines["merged"].env == {
        "LLAMA_ARG_CTX_SIZE": "1024",
        "LLAMA_ARG_N_PARALLEL": "2",
        "PASSED": "yes",
    }
    assert lines["merged"].env_unknown == ("HF_TOKEN", "LLAMA_API_KEY")
    assert lines["shell"].env == {"LLAMA_ARG_X": "q r", "Y": "1024"}
    assert lines["shell"].assumed == ("missing.env is not there, and what it sets is not known",)
    assert lines["built"].assumed == ("command: 512 is meant as text, and would need quotes",)
    assert lines["only-env"].env == {"LLAMA_ARG_MODEL": "/m.gguf", "PASSED": "yes"}
    assert lines["only-env"].env_unknown == ("FROM_HERE",)


def test_a_service_that_cannot_be_read_does_not_block_the_others(tmp_path: Path) -> None:
    text = """
services:
  good: {image: 'ghcr.io/ggml-org/llama.cpp:server', command: -c 1}
  bad: {image: 'ghcr.io/ggml-org/llama.cpp:server', command: "-c 'x"}
"""
    lines = read(tmp_path, "compose.yml", text)
    assert list(lines) == ["good"]
    assert list(lines.unread) == ["bad"]
    with pytest.raises(FormatError, match="#bad: a quote stays open"):
        lines["bad"]


MANIFEST = """
apiVersion: v1
kind: ConfigMap
metadata: {name: cfg}
data:
  LLAMA_ARG_CTX_SIZE: "4096"
  start.sh: |
    #!/bin/sh
    exec llama-server -m /cm.gguf
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: llm}
spec:
  template:
    spec:
      initContainers:
        - {name: fetch, image: curl, args: ["-o", "/models/a.gguf", "https://x/a.gguf"]}
      containers:
        - name: one
          image: ghcr.io/ggml-org/llama.cpp:server
          envFrom: [{configMapRef: {name: cfg}}, {secretRef: {name: elsewhere}}]
          env:
            - {name: P, value: "8080"}
            - name: K
              valueFrom: {configMapKeyRef: {name: cfg, key: LLAMA_ARG_CTX_SIZE}}
            - name: S
              valueFrom: {secretKeyRef: {name: elsewhere, key: token}}
          args: [--port, $(P), --model, "$(UNKNOWN)/a", "$$(P)", -np, 2]
        - name: two
          image: ghcr.io/ggml-org/llama.cpp:server
          command: ["/bin/sh", "-c", "exec /app/llama-server -m /b.gguf --port $PORT"]
"""


def test_kubernetes(tmp_path: Path) -> None:
    lines = read(tmp_path, "sts.yaml", MANIFEST)
    assert {name: " ".join(line.words) for name, line in lines.items()} == {
        "one": "--port 8080 --model $(UNKNOWN)/a $(P) -np 2",
        "two": "-m /b.gguf --port $PORT",
        "start.sh": "-m /cm.gguf",
    }
    one = lines["one"]
    assert one.env == {"LLAMA_ARG_CTX_SIZE": "4096", "P": "8080", "K": "4096"}
    assert one.env_unknown == ("S",)
    assert one.assumed == (
        "Secret elsewhere is not in the file",
        "args: 2 is meant as text, and would need quotes",
    )


def test_a_template_of_a_chart(tmp_path: Path) -> None:
    text = """{{- if .Values.enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "x.fullname" . }}
spec:
  template:
    spec:
      containers:
        - name: llm
          image: "ghcr.io/ggml-org/llama.cpp:{{ .Values.tag }}"
          args:
            - --model
            - {{ .Values.model }}
            - "--ctx-size"
            - "{{ .Values.ctx }}"
            {{- if .Values.jinja }}
            - --jinja
            {{- end }}
{{- end }}
"""
    words = only(tmp_path, "deployment.yaml", text).words
    assert words == ("--model", "{{ .Values.model }}", "--ctx-size", "{{ .Values.ctx }}", "--jinja")


def test_values_of_a_chart(tmp_path: Path) -> None:
    text = """
llamacpp:
  image: {repository: ghcr.io/ggml-org/llama.cpp, tag: server-vulkan}
  args: ["-m", "/a.gguf"]
  extraArgs: ["-ngl", "99"]
  env:
    - {name: LLAMA_ARG_TOP_K, value: "3"}
other:
  image: {repository: nginx}
  args: ["-g", "daemon off;"]
"""
    lines = read(tmp_path, "values.yaml", text)
    assert list(lines) == ["llamacpp"]
    assert lines["llamacpp"].words == ("-m", "/a.gguf", "-ngl", "99")
    assert lines["llamacpp"].env == {"LLAMA_ARG_TOP_K": "3"}


def test_llama_swap(tmp_path: Path) -> None:
    text = """
macros:
  box: "docker run --rm -p ${PORT}:8080 ghcr.io/ggml-org/llama.cpp:server"
  level: 1
models:
  boxed:
    cmd: ${box} -m /a.gguf --port 8080
    env: ["CUDA_VISIBLE_DEVICES=0"]
  bare:
    macros: {level: 4}
    cmd: |
      # the fast one
      /opt/llama-server --port ${PORT} -lv ${level} --alias ${MODEL_ID} \\
        -m ${env.HOME}/b.gguf # not this
    env: ["A=${level}", "B=${env.GPUS}"]
  undefined: {cmd: "${nothing} -m x"}
  number: {cmd: 5}
  other: {cmd: vllm serve x}
"""
    lines = read(tmp_path, "config.yaml", text)
    assert {name: " ".join(line.words) for name, line in lines.items()} == {
        "boxed": "-m /a.gguf --port 8080",
        "bare": "--port ${PORT} -lv 4 --alias bare -m ${env.HOME}/b.gguf",
    }
    assert lines["boxed"].env == {}  # a container is not handed what its engine has
    assert lines["bare"].env == {"A": "4"}
    assert lines["bare"].env_unknown == ("B",)
    assert set(lines.unread) == {"undefined", "number"}


def test_gpustack_as_it_ships(tmp_path: Path) -> None:
    text = """
- backend_name: kokoro
  default_run_command: python -m uvicorn x --port {{port}}
  version_configs: {latest: {image_name: y}}
- backend_name: llama.cpp
  default_env: {LLAMA_ARG_TOP_K: "3", TOKEN: "{{token}}"}
  default_run_command: >-
    -m {{model_path}} --port {{port}}
    {% if mmproj %}-mm {{mmproj}} {% if big %}-c 9{% else %}-c 8{% endif %}{% else %}-c 1{% endif %}
    {{#if draft}}-md {{draft}}{{else}}--no-draft{{/if}} --jinja
  version_configs:
    v1: {image_name: 'ghcr.io/ggml-org/llama.cpp:server', run_command: ''}
    v2: {image_name: my/own, entrypoint: /app/llama-server, run_command: '-c 1'}
"""
    lines = read(tmp_path, "backends.yaml", text)
    assert {name: " ".join(line.words) for name, line in lines.items()} == {
        "llama.cpp": "-m {{model_path}} --port {{port}} -mm {{mmproj}} -c 9 -md {{draft}} --jinja",
        "v2": "-c 1",
    }
    assert lines["llama.cpp"].env == {"LLAMA_ARG_TOP_K": "3"}
    assert lines["llama.cpp"].env_unknown == ("TOKEN",)
    assert lines["llama.cpp"].assumed == (
        "{% if mmproj %} holds",
        "{% if big %} holds",
        "{{#if draft}} holds",
    )


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (
            '{"A": {"llamacpp_args": "-c 1 --x \'{\\"a\\": 1}\'"}}',
            "A",
            ["-c", "1", "--x", '{"a": 1}'],
        ),
        (
            '{"A": {"ctx_size": 2048, "llamacpp_args": "--jinja"}, "B": {"ctx_size": 1}}',
            "A",
            ["--ctx-size", "2048", "--jinja"],
        ),
        ('{"A": {"ctx_size": -1, "llamacpp_args": "--jinja"}}', "A", ["--jinja"]),
        ('{"m": {"recipe_options": {"llamacpp_args": "--jinja"}}}', "m", ["--jinja"]),
        ('{"model_name": "q", "llamacpp_args": "--jinja"}', "q", ["--jinja"]),
    ],
)
def test_lemonade(text: str, name: str, words: list[str], tmp_path: Path) -> None:
    lines = read(tmp_path, "recipe_options.json", text)
    assert list(lines) == [name]
    assert list(lines[name].words) == words


@pytest.mark.parametrize(
    ("file", "text", "name"),
    [
        (
            "mcp.json",
            '{"mcpServers": {"llm": {"command": "llama-server", "args": ["-c", "1"]}}}',
            "llm",
        ),
        ("one.json", '{"command": "llama-server -c 1"}', ""),
        ("argv.json", '{"llm": {"cmd": ["llama-server", "-c", "1"]}}', "llm"),
        (
            "launch.json",
            (
                '{"configurations": [{"name": "srv", "program": "${w}/bin/llama-server", '
                '"args": ["-c", "1"]}]}'
            ),
            "srv",
        ),
        (
            "tasks.json",
            (
                '{"tasks": [{"label": "llm", "type": "shell", "command": "llama-server", '
                '"args": ["-c", "1"], /* old */ }]}'
            ),
            "llm",
        ),
        (
            "apps.json",
            '{"apps": [{"name": "llm", "script": "./llama-server", "args": "-c 1"}]}',
            "llm",
        ),
        ("mprocs.yaml", 'procs:\n  llm: {shell: "llama-server -c 1"}\n', "llm"),
        ("process-compose.yaml", "processes:\n  llm:\n    command: llama-server -c 1\n", "llm"),
        ("list.json", '["llama-server", "-c", "1"]', ""),
        ("list.json", '["-c", "1"]', ""),
        ("docker.json", '["docker", "run", "llama.cpp:server", "-c", "1"]', ""),
    ],
)
def test_programs_in_json_and_yaml(file: str, text: str, name: str, tmp_path: Path) -> None:
    lines = read(tmp_path, file, text)
    assert {one: line.words for one, line in lines.items()} == {name: ("-c", "1")}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a.json", "{", "is not JSON: line 1: a key in quotes is missing"),
        ("a.json", '{"a": }', "is not JSON: line 1: a value is missing before '}'"),
        ("a.json", '["a" "b"]', "a comma or ']' is missing"),
        ("a.json", "[1]", "holds strings only"),
        ("a.json", '["python", "x"]', "cannot tell where the arguments"),
        ("a.json", '{"a": {"b": 1}}', "is of no known kind"),
        ("a.yaml", "a: 1", "is of no known kind"),
        ("a.yaml", "models: [", "is not YAML"),
        ("a.yaml", "services: {a: {image: nginx}}", "holds no llama-server command line"),
        ("a.yaml", "apiVersion: v1\nkind: Pod", "none of its containers is a llama-server"),
        ("a.json", '{"A": {"llamacpp_args": 5}}', "llamacpp_args is not text"),
        ("a.json", '{"A": {"llamacpp_args": "x", "ctx_size": "y"}}', "ctx_size is not a number"),
        ("a.json", '["llama-server", "\\ud800"]', "is no text that a program can be given"),
        ("a.yaml", "default_run_command: [a]", "the run command is not text"),
    ],
)
def test_what_is_refused(file: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read(tmp_path, file, text)
    assert said in str(caught.value)
    assert str(tmp_path / file) in str(caught.value)
