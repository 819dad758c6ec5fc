"""Units, quadlets, supervisord, launchd, Dockerfiles, Procfiles, presets, .env files."""

from pathlib import Path

import pytest

from harness.errors import FormatError
from tests.unit.formats.reading import only, read


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("/opt/llama-server -c 1", ["-c", "1"]),
        ("-/opt/llama-server -c 1", ["-c", "1"]),
        ("@/opt/llama-server llm -c 1", ["-c", "1"]),
        ("/opt/llama-server \\\n# a comment\n  -c 1 \\\n  --jinja", ["-c", "1", "--jinja"]),
        ("/usr/bin/env A=1 /opt/llama-server -c 1", ["-c", "1"]),
        ("/usr/bin/numactl --interleave=all /opt/llama-server -c 1", ["-c", "1"]),
        ("/bin/bash -c 'exec /opt/llama-server -c 1 >> /x 2>&1'", ["-c", "1"]),
        (
            '/opt/llama-server --x \'{"a": true}\' "b c" d\\x41 e\\sf',
            ["--x", '{"a": true}', "b c", "dA", "e f"],
        ),
        (
            "/opt/llama-server $ARGS ${ONE} x${ONE} x$ONE $MORE ${MORE}",
            ["-c", "1", "a b", "xa b", "x$ONE", "$MORE", "${MORE}"],
        ),
        (":/opt/llama-server $ARGS", ["$ARGS"]),
        ("/opt/llama-server 50%% $$x %h/a", ["50%", "$x", "%h/a"]),
        ("/bin/true ; /opt/llama-server -c 1", ["-c", "1"]),
        ("/usr/bin/podman run --rm -e A=1 ghcr.io/ggml-org/llama.cpp:server -c 1", ["-c", "1"]),
    ],
)
def test_systemd(start: str, words: list[str], tmp_path: Path) -> None:
    text = f'[Service]\nEnvironment="ARGS=-c 1" "ONE=a b"\nExecStart={start}\n'
    assert list(only(tmp_path, "llama.service", text).words) == words


def test_the_variables_of_a_unit(tmp_path: Path) -> None:
    text = """
# c
[Service]
Environment=GONE=1
Environment=
Environment=A=1 "B=x y" 'C=50%%'
EnvironmentFile=-/etc/nowhere
EnvironmentFile=/etc/default/x.env
EnvironmentFile=/etc/y.env
PassEnvironment=HF_TOKEN
UnsetEnvironment=A
ExecStart=/opt/llama-server --model ${MODEL}
"""
    line = only(tmp_path, "llama.service", text, {"x.env": "MODEL=/m.gguf\nQ='d e'\n"})
    assert line.words == ("--model", "/m.gguf")
    assert line.env == {"B": "x y", "C": "50%", "MODEL": "/m.gguf", "Q": "d e"}
    assert line.env_unknown == ("HF_TOKEN",)
    assert line.assumed == ("/etc/y.env is not there, and what it sets is not known",)


UNIT = "[Service]\nEnvironment=A=1\nExecStart=/opt/llama-server -c 1\n"
DROP_IN = "[Service]\nExecStart=\nExecStart=/opt/llama-server -c 2\nEnvironment=LLAMA_ARG_TOP_K=3\n"


def test_drop_ins(tmp_path: Path) -> None:
    files = {"llama.service.d/override.conf": DROP_IN}
    line = only(tmp_path, "llama.service", UNIT, files)
    assert (line.words, line.env) == (("-c", "2"), {"A": "1", "LLAMA_ARG_TOP_K": "3"})
    line = only(tmp_path, "llama.service.d/override.conf", DROP_IN, {"llama.service": UNIT})
    assert (line.words, line.env) == (("-c", "2"), {"A": "1", "LLAMA_ARG_TOP_K": "3"})
    line = only(tmp_path, "alone.conf", "[Service]\nEnvironment=LLAMA_ARG_TOP_K=3\n")
    assert (line.words, line.env) == ((), {"LLAMA_ARG_TOP_K": "3"})


def test_quadlets(tmp_path: Path) -> None:
    text = """[Container]
Image=localhost/llama.cpp:latest
EnvironmentFile=q.env
Exec=llama-server -hf x/y:Q4 -c  -ngl 999 --port ${PORT}
"""
    line = only(tmp_path, "q.container", text, {"q.env": "LLAMA_ARG_TOP_K=1"})
    assert line.words == ("-hf", "x/y:Q4", "-c", "-ngl", "999", "--port", "${PORT}")
    assert line.env == {"LLAMA_ARG_TOP_K": "1"}
    text = "[Container]\nImage=x\nEntrypoint=/app/llama-server\nExec=-c 1\n"
    assert only(tmp_path, "q.container", text).words == ("-c", "1")
    text = '[Container]\nImage=x\nEntrypoint=["/bin/sh", "-c"]\nExec="llama-server -c 1"\n'
    assert only(tmp_path, "q.container", text).words == ("-c", "1")


def test_supervisord(tmp_path: Path) -> None:
    text = """[supervisord]
environment=SHARED="1",MINE="2"

[program:web]
command=gunicorn app

[program:llm]
command=bash -c "exec llama-server -m %(ENV_MODEL)s -c 1"
environment=MINE='3',OTHER=%(ENV_OTHER)s,
  LAST=50%%

[program:two]
command = /opt/llama-server -c 2 ; few
"""
    lines = read(tmp_path, "supervisord.conf", text)
    assert lines["llm"].words == ("-m", "%(ENV_MODEL)s", "-c", "1")
    assert lines["llm"].env == {"SHARED": "1", "MINE": "3", "LAST": "50%"}
    assert lines["llm"].env_unknown == ("OTHER",)
    assert lines["two"].words == ("-c", "2")
    assert lines["two"].env == {"SHARED": "1", "MINE": "2"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('FROM ubuntu\nCMD ["llama-server", "-c", "1"]', ["-c", "1"]),
        ("FROM ubuntu\nCMD llama-server -c 1", ["-c", "1"]),
        ("FROM ubuntu\nENV C=1\nENTRYPOINT llama-server -c $C", ["-c", "1"]),
        ('FROM ubuntu\nENV C=1\nENTRYPOINT ["llama-server", "-c", "$C"]', ["-c", "$C"]),
        ('FROM ubuntu\nENTRYPOINT ["/bin/sh", "-c", "llama-server -c 1"]', ["-c", "1"]),
        ('FROM ubuntu\nENTRYPOINT ["tini", "--", "llama-server"]\nCMD ["-c", "1"]', ["-c", "1"]),
        ('ARG T=server\nFROM ghcr.io/ggml-org/llama.cpp:${T}\nCMD ["-c", "1"]', ["-c", "1"]),
        (
            'FROM x AS a\nCMD ["llama-server", "-c", "9"]\nFROM a\nCMD ["llama-server", "-c", "1"]',
            ["-c", "1"],
        ),
        ('FROM x AS a\nENTRYPOINT ["llama-server"]\nFROM a\nCMD ["-c", "1"]', ["-c", "1"]),
        (
            'FROM x\nHEALTHCHECK CMD curl\nRUN <<E\nCMD x\nE\nCMD ["llama-server", "-c", "1"]',
            ["-c", "1"],
        ),
        ('# escape=`\nFROM ubuntu\nCMD ["llama-server", `\n  # few\n  "-c", "1"]', ["-c", "1"]),
        # The image starts the server by itself, and hands it the word as an argument.
        (
            'FROM ghcr.io/ggml-org/llama.cpp:server\nCMD ["llama-server", "-c", "1"]',
            ["llama-server", "-c", "1"],
        ),
    ],
)
def test_dockerfiles(text: str, words: list[str], tmp_path: Path) -> None:
    line = only(tmp_path, "Dockerfile", text)
    assert list(line.words) == words
    assert line.fault is None


def test_the_variables_of_a_dockerfile(tmp_path: Path) -> None:
    text = (
        "FROM ubuntu\nARG T=1\nENV A=$T B=\"x y\" \\\n C='z'\nENV OLD form of it\nENV D=$OUTSIDE\n"
        'CMD ["llama-server"]\n'
    )
    line = only(tmp_path, "Dockerfile", text)
    assert line.env == {"A": "1", "B": "x y", "C": "z", "OLD": "form of it"}
    assert line.env_unknown == ("D",)


@pytest.mark.parametrize("cmd", ['["-c", "1"', "-c 1", '["-c" "1"]'])
def test_a_command_that_becomes_a_shells(cmd: str, tmp_path: Path) -> None:
    for entrypoint in ("", 'ENTRYPOINT ["/app/llama-server"]\n'):
        text = f"FROM ghcr.io/ggml-org/llama.cpp:server\n{entrypoint}CMD {cmd}\n"
        line = only(tmp_path, "Dockerfile", text)
        assert line.words == ()
        assert line.fault is not None
        assert line.fault.word == "CMD"
        assert line.fault.words == ("/bin/sh", "-c", cmd)


def test_launchd(tmp_path: Path) -> None:
    text = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Program</key><string>/opt/llama-server</string>
<key>ProgramArguments</key><array>
<string>llm</string><string>--alias</string><string>a &amp; b ü</string>
</array>
</dict></plist>
"""
    assert only(tmp_path, "a.plist", text).words == ("--alias", "a & b ü")
    text = text.replace("<key>Program</key><string>/opt/llama-server</string>\n", "")
    with pytest.raises(FormatError, match="ProgramArguments start no llama-server"):
        read(tmp_path, "a.plist", text)
    with pytest.raises(FormatError, match="is no property list"):
        read(tmp_path, "a.plist", "<plist><dict>")


def test_procfiles(tmp_path: Path) -> None:
    text = "web: bundle exec puma\n# c\nllm: bin/llama-server --port ${PORT} -c 1\n"
    lines = read(tmp_path, "Procfile", text, {".env": "LLAMA_ARG_TOP_K=1"})
    assert list(lines) == ["llm"]
    assert lines["llm"].words == ("--port", "${PORT}", "-c", "1")
    assert lines["llm"].env == {"LLAMA_ARG_TOP_K": "1"}


def test_dotenv(tmp_path: Path) -> None:
    text = """# c
export LLAMA_ARG_MODEL=/x.gguf
LLAMA_ARG_ALIAS="a \\"b\\" $LLAMA_ARG_MODEL" # c
A='$B'  # c
EMPTY=
HF_TOKEN=${HF}
"""
    line = only(tmp_path, ".env", text)
    assert line.words == ()
    assert line.env == {
        "LLAMA_ARG_MODEL": "/x.gguf",
        "LLAMA_ARG_ALIAS": 'a "b" /x.gguf',
        "EMPTY": "",
    }
    assert line.env_unknown == ("A", "HF_TOKEN")


@pytest.mark.parametrize(
    "text",
    [
        "version = 1\n\n[*]\nc = 1024\n\n[small]\nmodel = /models/a.gguf\n",
        "; c\n[a]\nhf-repo = x/y\n",
        "[a]\nLLAMA_ARG_CTX_SIZE = 1\n",
    ],
)
def test_presets(text: str, tmp_path: Path) -> None:
    line = only(tmp_path, "p.ini", text)
    assert line.words == ("--models-preset", "p.ini")
    assert line.files == {"p.ini": text}


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a.service", "[Service]\nExecStart=/opt/start.sh\n", "starts no llama-server"),
        ("a.service", "[Service]\nExecStart=/opt/llama-server 'x\n", "a quote stays open"),
        ("a.container", "[Container]\nImage=nginx\n", "starts no llama-server"),
        ("a.conf", "[program:x]\ncommand=nginx\n", "none of its programs is a llama-server"),
        ("a.conf", "[program:x]\ncommand=llama-server 'x\n", "[program:x]: a quote stays open"),
        ("Dockerfile", 'FROM nginx\nCMD ["nginx"]\n', "starts no llama-server"),
        ("a.ini", "[section]\nkey = value\n", "is of no known kind"),
        ("Procfile", "llm: ollama serve # llama\n", "none of its processes is a llama-server"),
    ],
)
def test_what_is_refused(file: str, text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read(tmp_path, file, text)
    assert said in str(caught.value)
