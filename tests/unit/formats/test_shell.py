"""Shell scripts and command lines as people have them."""

import shlex
from pathlib import Path

import pytest

from harness.errors import FormatError
from tests.unit.formats.reading import only, read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("llama-server -m a.gguf -c 512", "-m a.gguf -c 512"),
        ("$ ./llama-server -m a.gguf", "-m a.gguf"),
        ("user@host:~/llama$ ./llama-server -m a.gguf", "-m a.gguf"),
        ("-m a.gguf --jinja", "-m a.gguf --jinja"),
        ("llama serve -m a.gguf", "-m a.gguf"),
        ("/usr/bin/llama-server-b9246 -c 1", "-c 1"),
        ("./server -m a.gguf -c 1", "-m a.gguf -c 1"),
        ("/app/tools.sh --server -c 1", "-c 1"),
        ("$(which llama-server) -c 1", "-c 1"),
        ('"$LLAMA_BIN" -m a.gguf', "-m a.gguf"),
        ("BIN=/opt/llama-server; $BIN -c 1", "-c 1"),
        ('"${BIN:-llama-server}" -c 1', "-c 1"),
        ("nohup llama-server -c 1 > log 2>&1 &", "-c 1"),
        ("llama-server -c 1 >> log -np 2 2>&1 | tee x", "-c 1 -np 2"),
        ("a && llama-server -c 1 > log -np 2", "-c 1 -np 2"),
        ("cd /opt && exec llama-server -c 1 || exit 1", "-c 1"),
        ("exec -a llm llama-server -c 1", "-c 1"),
        ("sudo -u llm -E nice -n 5 ionice -c 2 -n 0 llama-server -c 1", "-c 1"),
        ("numactl -N 0 -m 0 taskset -c 0-3 llama-server -c 1", "-c 1"),
        ("chrt -f 50 timeout -k 5 60 stdbuf -oL llama-server -c 1", "-c 1"),
        ("systemd-run --user -p MemoryMax=8G --unit llm llama-server -c 1", "-c 1"),
        ("tmux new-session -d -s llm 'cd /opt && ./llama-server -c 1'", "-c 1"),
        ("screen -dmS llm llama-server -c 1", "-c 1"),
        ('ssh -p 22 user@host "nohup llama-server -c 1 &"', "-c 1"),
        ("bash -lc 'exec llama-server -c 1 --alias \"a b\"'", "-c 1 --alias 'a b'"),
        ("su - llm -c 'llama-server -c 1'", "-c 1"),
        ('eval "llama-server -c 1"', "-c 1"),
        ("llama-server -c 1 `# few` --jinja", "-c 1 --jinja"),
        ("llama-server -c 1 \\\r\n  --jinja\r\n", "-c 1 --jinja"),
        ("llama-server -c 1 # --draft-max 8", "-c 1"),
        ("llama-server --alias a#b 'c'\"d\"$'e\\tf' g\\ h", "--alias a#b 'cde\tf' 'g h'"),
        ("llama-server -t $(nproc) -np $((2 * 4))", "-t '$(nproc)' -np 8"),
        ("llama-server --port $PORT --host ${HOST}", "--port '$PORT' --host '${HOST}'"),
        ('llama-server $EXTRA_ARGS -c 1 "$@"', "-c 1"),
        ("llama-server -m ${M:?is missing} -a ${N?}", "-m '${M}' -a '${N}'"),
        ('llama-server ${X:-a b} "${Y:-c d}" ${Z:+e}', "a b 'c d'"),
        ("X=1; llama-server ${X:+--jinja -c $X} ${X:-9}", "--jinja -c 1 1"),
        ("llama-server -c ${CTX:=4096} -b $CTX", "-c 4096 -b 4096"),
        ("M=/m/a.gguf; llama-server ${M##*/} ${M%.gguf} ${M/a/b} ${#M}", "a.gguf /m/a /m/b.gguf 9"),
        ("A='-c 1'; A+=' --jinja'; llama-server $A \"$A\"", "-c 1 --jinja '-c 1 --jinja'"),
        ("a=(-c 1 'x y'); llama-server ${a[@]} \"${a[2]}\" ${#a[@]}", "-c 1 'x y' 'x y' 3"),
        ("declare -A m=([s]=a.gguf [b]=c); k=${1:-s}; llama-server -m ${m[$k]}", "-m a.gguf"),
        ("a=(x y); i=1; llama-server ${a[$i]} ${a[i]} ${a[7]}", "y '${a[i]}'"),
        ('set -- -c 1; exec llama-server "$@"', "-c 1"),
        (": ${P:=8080}; llama-server --port $P", "--port 8080"),
        # The comment ends the command: what stands behind it is another.
        ("llama-server -c 1 \\\n  # --draft-max 8 \\\n  --jinja", "-c 1"),
        ('D=$(dirname "$0"); M="$D/a.gguf"; llama-server -m "$M"', "-m '$D/a.gguf'"),
        ("if false; then X=1; fi; llama-server $X -c 1", "-c 1"),
        ('f() { llama-server -m "$1" -c ${2:-7}; }; f a.gguf', "-m a.gguf -c 7"),
        ('run() { echo "+ $*"; "$@"; }; run llama-server -c 1', "-c 1"),
        ("while true; do llama-server -c 1; sleep 1; done", "-c 1"),
        ("if ! pgrep llama-server; then llama-server -c 1; fi", "-c 1"),
        ("llama-server --version && llama-server -c 1", "-c 1"),
        (
            "echo llama-server -m x; which llama-server; ls -l ./llama-server; llama-server -c 1",
            "-c 1",
        ),
        ("cmake --build . --target llama-server -j 8; llama-server -c 1", "-c 1"),
        ("log() { echo \"$1\"; }; log 'llama-server -m x'; llama-server -c 1", "-c 1"),
        ("cat <<'E'\nllama-server -m it's\nE\nllama-server -c 1", "-c 1"),
        ("llama-server -m größe.gguf --alias 'ü'", "-m größe.gguf --alias ü"),
    ],
)
def test_the_arguments(text: str, words: str, tmp_path: Path) -> None:
    assert list(only(tmp_path, "line.txt", text).words) == shlex.split(words)


@pytest.mark.parametrize(
    ("text", "env", "unknown"),
    [
        ("A=1 B='x y' llama-server", {"A": "1", "B": "x y"}, []),
        ("export A=1 B\nC=2\nllama-server", {"A": "1"}, ["B"]),
        ("A=1\nexport A\nB=$A llama-server", {"A": "1", "B": "1"}, []),
        ("export A=1; unset A; llama-server", {}, []),
        ("declare -x A=1; llama-server", {"A": "1"}, []),
        ("export A=$(cat token) B=$HOME/x; llama-server", {}, ["A", "B"]),
        ("env -u B A=1 llama-server", {"A": "1"}, []),
        ("export A=1; env -i B=2 llama-server", {"B": "2"}, []),
        ("export A=1; sudo B=2 llama-server", {"B": "2"}, []),
        ("export A=1; sudo -E llama-server", {"A": "1"}, []),
        ("export A=1; docker run -e B=2 -e A -e C llama.cpp:server", {"B": "2", "A": "1"}, ["C"]),
        ("set -a; . ./x.env; set +a; llama-server", {"Q": "1", "R": "a b"}, []),
        ("export $(grep -v '^#' x.env | xargs); llama-server", {"Q": "1"}, []),
        (". ./x.env; llama-server", {}, []),
        ("(export A=1); llama-server", {}, []),
    ],
)
def test_the_variables(text: str, env: dict[str, str], unknown: list[str], tmp_path: Path) -> None:
    files = {"x.env": "# c\nQ=1\nR='a b'\n"}
    line = only(tmp_path, "start.sh", text, files)
    assert {name: line.env[name] for name in line.env if name != "R" or "R" in env} == env
    assert [name for name in line.env_unknown if name != "R"] == unknown


def test_a_sudo_that_hands_on_nothing_is_told_of(tmp_path: Path) -> None:
    line = only(tmp_path, "a.sh", "export LLAMA_ARG_TOP_K=1\nsudo llama-server")
    assert line.assumed == ("sudo does not hand on LLAMA_ARG_TOP_K",)


BRANCHES = """
if lspci | grep -qi nvidia; then NGL=99; else NGL=0; fi
if [ ! -f a.gguf ]; then echo missing; exit 1; fi
command -v jq >/dev/null || exit 1
[ -n "$DEBUG" ] && EXTRA=-v
case "${LOG:-info}" in error) LV=0;; info|warn) LV=3;; *) LV=5;; esac
if [[ "$NGL" -gt 0 && -z "$DEBUG" ]]; then FA=on; elif true; then FA=off; fi
llama-server -ngl $NGL -lv $LV -fa $FA $EXTRA
"""


def test_branches_are_followed_as_far_as_the_file_tells(tmp_path: Path) -> None:
    line = only(tmp_path, "a.sh", BRANCHES)
    assert line.words == ("-ngl", "99", "-lv", "3", "-fa", "on")
    assert line.assumed == ("line 2: lspci | grep -qi nvidia holds",)


SEVERAL = """
case "$1" in
  big) llama-server -m big.gguf ;;
  *) llama-server -m small.gguf ;;
esac
for port in 8080 8081; do llama-server --port $port & done
never() { llama-server -m never.gguf -c "$1"; }
"""


def test_all_servers_of_a_script(tmp_path: Path) -> None:
    lines = read(tmp_path, "a.sh", SEVERAL)
    assert list(lines) == ["1", "2", "3", "4", "5"]
    assert [" ".join(line.words) for line in lines.values()] == [
        "-m big.gguf",
        "-m small.gguf",
        "--port 8080",
        "--port 8081",
        "-m never.gguf -c $1",
    ]


INSTALLER = """#!/bin/bash
MODEL=/models/a.gguf
cat > /etc/systemd/system/llama.service <<EOF
[Service]
Environment=LLAMA_ARG_TOP_K=3
ExecStart=/usr/local/bin/llama-server \\\\
    --model ${MODEL} \\\\
    --threads $(nproc)
EOF
sudo tee compose.yml << 'EOF'
services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server
    command: -c 2048
EOF
ssh host <<EOF
llama-server -c 1
EOF
systemctl enable llama-server
"""


def test_files_that_a_script_writes(tmp_path: Path) -> None:
    lines = list(read(tmp_path, "install.sh", INSTALLER).values())
    assert [line.words for line in lines] == [
        ("--model", "/models/a.gguf", "--threads", "$(nproc)"),
        ("-c", "2048"),
        ("-c", "1"),
    ]
    assert lines[0].env == {"LLAMA_ARG_TOP_K": "3"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("llama-server -m 'a", "line 1: a quote stays open"),
        ("#!/bin/sh\necho hi", "holds no command that starts a llama-server"),
        ("#!/usr/bin/env python3\nprint('llama-server -m x')", "is a program for python"),
        ("docker run ollama/ollama serve", "is of no known kind"),
        ("docker run vllm/vllm-openai --model x.gguf --port 1", "is of no known kind"),
        ("llama-server -m x -c 'is told of in the text", "a quote stays open"),
    ],
)
def test_what_is_refused(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=said):
        read(tmp_path, "a.txt", text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "docker run -d -p8080:8080 --gpus=all -v /m:/m ghcr.io/ggml-org/llama.cpp:server -c 1",
            "-c 1",
        ),
        ("docker run ghcr.io/ggml-org/llama.cpp:full-cuda --server -c 1", "-c 1"),
        ("docker run --entrypoint /app/llama-server my/image:1 -c 1", "-c 1"),
        ("podman run --replace --name x localhost/llama.cpp llama-server -c 1", "-c 1"),
        ("docker run --rm my/own -m /m.gguf -c 1", "-m /m.gguf -c 1"),
        ("docker exec -it box llama-server -c 1", "-c 1"),
        ("docker compose run --rm llm llama-server -c 1", "-c 1"),
        ("docker run x sh -c 'exec llama-server -c 1'", "-c 1"),
        # The image starts the server by itself, and hands it the word as an argument.
        ("docker run ghcr.io/ggml-org/llama.cpp:server llama-server -c 1", "llama-server -c 1"),
    ],
)
def test_containers(text: str, words: str, tmp_path: Path) -> None:
    assert " ".join(only(tmp_path, "run.txt", text).words) == words


def test_the_environment_file_of_a_container(tmp_path: Path) -> None:
    files = {"x.env": "A=1\nB='2'\n"}
    text = "docker run --env-file x.env --env-file y.env -e A=3 llama.cpp:server -c 1"
    line = only(tmp_path, "run.txt", text, files)
    assert line.env == {"A": "3", "B": "'2'"}
    assert line.assumed == ("y.env is not there, and what it sets is not known",)
