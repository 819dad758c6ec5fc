"""Batch files, PowerShell, and command lines as typed into either."""

from pathlib import Path

import pytest

from tests.unit.formats.reading import only, read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("llama-server.exe -m C:\\models\\a.gguf -c 1", ["-m", "C:\\models\\a.gguf", "-c", "1"]),
        ('.\\llama-server -m "C:\\My Models\\a.gguf"', ["-m", "C:\\My Models\\a.gguf"]),
        ("bin\\llama.exe serve -c 1", ["-c", "1"]),
        ('start "srv" /b /D C:\\llama llama-server.exe -c 1 > x.txt 2>&1', ["-c", "1"]),
        ("@call llama-server.exe -c 1 & echo done", ["-c", "1"]),
        ("cmd /c llama-server.exe -c 1 && pause", ["-c", "1"]),
        ("rem x\r\nllama-server.exe ^\r\n -c 1 ^\r\n --jinja\r\n", ["-c", "1", "--jinja"]),
        (
            'llama-server.exe --x "{\\"a\\": true}" --y \'b\' %%',
            ["--x", '{"a": true}', "--y", "'b'", "%"],
        ),
        ("set A=1\nllama-server.exe -c %A% -b %B% %EXTRA_ARGS%", ["-c", "1", "-b", "%B%"]),
        ('set "A=-c 1"\nllama-server.exe %A% "%A%"', ["-c", "1", "-c 1"]),
        ('llama-server.exe -m "%~dp0a.gguf" a^&b', ["-m", "%~dp0a.gguf", "a&b"]),
        ("if not defined C set C=7\nllama-server.exe -c %C%", ["-c", "7"]),
        (
            'set D=1\nif "%D%"=="1" (\nset C=7\n) else (\nset C=8\n)\nllama-server.exe -c %C%',
            ["-c", "7"],
        ),
        ('if "%D%"=="1" (set C=7) else (set C=8)\nllama-server.exe -c %C%', ["-c", "8"]),
        ("set C=7\nif not exist x.gguf (\nset C=8\n)\nllama-server.exe -c %C%", ["-c", "7"]),
        ("setlocal enabledelayedexpansion\nset C=7\nllama-server.exe -c !C!", ["-c", "7"]),
        (":: llama-server.exe -m x\n:start\nllama-server.exe -c 1\ngoto start", ["-c", "1"]),
    ],
)
def test_batch(text: str, words: list[str], tmp_path: Path) -> None:
    assert list(only(tmp_path, "start.bat", text).words) == words


def test_variables_that_a_batch_file_keeps_for_itself(tmp_path: Path) -> None:
    text = """@echo off
set LLAMA_ARG_CTX_SIZE=2048
set CUDA_VISIBLE_DEVICES=0
set MODEL=C:\\a.gguf
set TZ=UTC
set LLAMA_API_KEY=%SECRET%
set NOTHING=
llama-server.exe -m %MODEL%
"""
    line = only(tmp_path, "start.bat", text)
    assert line.env == {"LLAMA_ARG_CTX_SIZE": "2048", "CUDA_VISIBLE_DEVICES": "0", "TZ": "UTC"}
    assert line.env_unknown == ("LLAMA_API_KEY",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("& 'C:\\x y\\llama-server.exe' -c 1 # few", ["-c", "1"]),
        ("llama-server `\n  -c 1 `\n  --tools a,b", ["-c", "1", "--tools", "a,b"]),
        ("$m = 'a.gguf'\nllama-server -m $m -c 1", ["-m", "a.gguf", "-c", "1"]),
        (
            "$d = 'C:\\m'\nllama-server -m \"$d\\a b.gguf\" $d\\c",
            ["-m", "C:\\m\\a b.gguf", "C:\\m\\c"],
        ),
        (
            "$a = @('-c', 1,\n  '--alias', \"x`\"y\" # few\n)\n& llama-server @a --jinja",
            ["-c", "1", "--alias", 'x"y', "--jinja"],
        ),
        ("$a = '-c', '1'\n$a += @('--jinja')\nllama-server $a", ["-c", "1", "--jinja"]),
        (
            "param([string]$Model = 'a.gguf', [int]$C = 7)\nllama-server -m $Model -c $C",
            ["-m", "a.gguf", "-c", "7"],
        ),
        (
            "llama-server --port $Port --host $env:HOST -t $($n + 1) $ExtraArgs",
            ["--port", "$Port", "--host", "$env:HOST", "-t", "$($n + 1)"],
        ),
        (
            (
                "$a = @('-c', '1') + $Extra\nif ($x) { $a += '--jinja' }\n"
                "$p = Start-Process llama-server -ArgumentList $a -PassThru -NoNewWindow"
            ),
            ["-c", "1", "--jinja"],
        ),
        (
            "Start-Process -FilePath llama-server.exe -ArgumentList '-c 1 --alias \"a b\"' -Wait",
            ["-c", "1", "--alias", "a b"],
        ),
        (
            "Start-Process llama-server -ArgumentList '-c', '1', \"--jinja\" -WindowStyle Hidden",
            ["-c", "1", "--jinja"],
        ),
        (
            'Write-Host "llama-server -m x"\n$job = & llama-server -c 1 2>&1 | Tee-Object x',
            ["-c", "1"],
        ),
        ("<# llama-server -m x #>\nllama-server -c 1 *> log.txt", ["-c", "1"]),
        ("try { llama-server -c 1 } finally { Stop-Process -Name llama-server }", ["-c", "1"]),
        (
            "llama-server --x '{\"a\": true}' 'it''s' @'\na\nb\n'@",
            ["--x", '{"a": true}', "it's", "a\nb"],
        ),
        ("docker run --rm `\n -p 8080:8080 ghcr.io/ggml-org/llama.cpp:server -c 1", ["-c", "1"]),
    ],
)
def test_powershell(text: str, words: list[str], tmp_path: Path) -> None:
    assert list(only(tmp_path, "start.ps1", text).words) == words


def test_variables_of_powershell(tmp_path: Path) -> None:
    text = "$env:A = '1'\n$env:B=\"x y\"\n$env:C = $secret\n$D = 2\nllama-server -c 1\n"
    line = only(tmp_path, "start.ps1", text)
    assert line.env == {"A": "1", "B": "x y"}
    assert line.env_unknown == ("C",)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("llama-server -m C:\\a.gguf", "C:\\a.gguf"),
        ('$m = "C:\\a.gguf"\nllama-server -m $m', "C:\\a.gguf"),
        ("llama-server `\n -m a.gguf", "a.gguf"),
        ("llama-server ^\n -m a.gguf", "a.gguf"),
        ("llama-server \\\n -m a.gguf", "a.gguf"),
        ("./llama-server.exe -m C:/a.gguf", "C:/a.gguf"),
    ],
)
def test_the_shell_is_told_by_the_text(text: str, first: str, tmp_path: Path) -> None:
    assert only(tmp_path, "line.txt", text).words[1] == first


def test_several_servers(tmp_path: Path) -> None:
    text = "start llama-server.exe -m a.gguf\nstart llama-server.exe -m b.gguf\n"
    assert list(read(tmp_path, "both.bat", text)) == ["1", "2"]
    text = "llama-server -m a.gguf\nllama-server -m b.gguf\n"
    assert list(read(tmp_path, "both.ps1", text)) == ["1", "2"]
