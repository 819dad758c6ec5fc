"""One file of each format, with what is read out of it."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A file of one format.

    Attributes:
        format: Its format.
        file: The file's name.
        text: The file.
        name: The name of its command line.
        words: Its arguments.
        env: Its variables.
        may_add: Whether variables can be added to it.
    """

    format: str
    file: str
    text: str
    name: str = ""
    words: str = "-m /models/a.gguf -c 2048 --no-mmap"
    env: dict[str, str] = field(default_factory=dict)
    may_add: bool = True


SAMPLES = (
    Sample(
        format="shell",
        file="start.sh",
        text="""#!/bin/sh
# the chat model
export LLAMA_ARG_TOP_K=7
exec nice -n 5 ./llama-server \\
  -m "/models/a.gguf" \\
  -c 2048 \\
  --no-mmap >> log 2>&1 &
wait
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="shell",
        file="array.sh",
        text="""#!/bin/bash
FLAGS="-c 2048"   # context
args=(
  -m /models/a.gguf  # the model
)
args+=($FLAGS)
llama-server "${args[@]}" --no-mmap
""",
    ),
    Sample(
        format="shell",
        file="run.txt",
        text="""docker run --rm -it -p 8080:8080 \\
  -e LLAMA_ARG_TOP_K=7 \\
  ghcr.io/ggml-org/llama.cpp:server \\
  -m /models/a.gguf -c 2048 --no-mmap
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="batch",
        file="start.bat",
        text="""@echo off
rem the chat model
set "LLAMA_ARG_TOP_K=7"
"C:\\Program Files\\llama\\llama-server.exe" ^
  -m /models/a.gguf ^
  -c 2048 ^
  --no-mmap > log.txt 2>&1
pause
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="powershell",
        file="start.ps1",
        text="""# the chat model
$env:LLAMA_ARG_TOP_K = "7"
& "C:\\llama\\llama-server.exe" `
  -m /models/a.gguf `
  -c 2048 `
  --no-mmap
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="compose",
        file="compose.yml",
        text="""services:
  web:
    image: nginx
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server # upstream's
    environment:
      - LLAMA_ARG_TOP_K=7 # few
    command:
      - -m
      - /models/a.gguf
      - -c
      - "2048" # context
      # what follows is old
      - --no-mmap
    restart: unless-stopped
""",
        name="llm",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="compose",
        file="compose.yaml",
        text="""services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server
    environment:
      LLAMA_ARG_TOP_K: 7
    command: >
      -m /models/a.gguf
      -c ${CTX:-2048}
      --no-mmap
""",
        name="llm",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="compose",
        file="docker-compose.yml",
        text="""services:
  llm:
    image: ghcr.io/ggml-org/llama.cpp:server
    command: ["-m", "/models/a.gguf", "-c", "2048", "--no-mmap"]
""",
        name="llm",
    ),
    Sample(
        format="kubernetes",
        file="deployment.yaml",
        text="""apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  template:
    spec:
      containers:
        - name: llm
          image: ghcr.io/ggml-org/llama.cpp:server
          args:
            - -m
            - /models/a.gguf
            - "-c"
            - "2048" # context
            - --no-mmap
          env:
            - name: LLAMA_ARG_TOP_K # few
              value: "7"
""",
        name="llm",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="kubernetes",
        file="values.yaml",
        text="""image: {repository: ghcr.io/ggml-org/llama.cpp, tag: server}
server:
  args: [-m, /models/a.gguf, -c, "2048", --no-mmap]
  env:
    LLAMA_ARG_TOP_K: "7"
""",
        name="server",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="systemd",
        file="llama.service",
        text="""[Unit]
Description=chat

[Service]
# few
Environment=LLAMA_ARG_TOP_K=7 HOME=/srv
ExecStart=/opt/llama-server \\
    -m /models/a.gguf \\
    -c 2048 \\
    --no-mmap
Restart=always
""",
        env={"LLAMA_ARG_TOP_K": "7", "HOME": "/srv"},
    ),
    Sample(
        format="quadlet",
        file="llm.container",
        text="""[Container]
Image=ghcr.io/ggml-org/llama.cpp:server
Environment=LLAMA_ARG_TOP_K=7
Exec=-m /models/a.gguf \\
  -c 2048 --no-mmap
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="supervisord",
        file="llm.conf",
        text="""[program:llm]
command=/opt/llama-server -m /models/a.gguf
  -c 2048 --no-mmap ; old
environment=LLAMA_ARG_TOP_K="7",HOME="/srv"
autorestart=true
""",
        name="llm",
        env={"LLAMA_ARG_TOP_K": "7", "HOME": "/srv"},
    ),
    Sample(
        format="dockerfile",
        file="Dockerfile",
        text="""FROM ghcr.io/ggml-org/llama.cpp:server
ENV LLAMA_ARG_TOP_K=7 \\
    HOME=/srv
# what it starts
CMD ["-m", "/models/a.gguf", \\
     "-c", "2048", "--no-mmap"]
""",
        env={"LLAMA_ARG_TOP_K": "7", "HOME": "/srv"},
    ),
    Sample(
        format="launchd",
        file="llm.plist",
        text="""<?xml version="1.0" encoding="UTF-8"?>
<plist version="1.0">
<dict>
  <key>EnvironmentVariables</key>
  <dict>
    <key>LLAMA_ARG_TOP_K</key><string>7</string>
  </dict>
  <key>ProgramArguments</key>
  <array>
    <string>/opt/llama-server</string>
    <string>-m</string>
    <string>/models/a.gguf</string>
    <!-- context -->
    <string>-c</string>
    <string>2048</string>
    <string>--no-mmap</string>
  </array>
</dict>
</plist>
""",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="procfile",
        file="Procfile",
        text="""web: gunicorn app:app
llm: LLAMA_ARG_TOP_K=7 ./llama-server -m /models/a.gguf -c 2048 --no-mmap
""",
        name="llm",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="llama-swap",
        file="config.yaml",
        text="""macros:
  server: /app/llama-server -m /models/a.gguf
models:
  small:
    cmd: |
      ${server}
      # context
      -c 2048
      --no-mmap
    env:
      - LLAMA_ARG_TOP_K=7
  broken:
    cmd: ${nothing}
""",
        name="small",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="lemonade",
        file="recipe_options.json",
        text="""{
  "user.A": {
    "llamacpp_args": "-m /models/a.gguf -c 2048 --no-mmap",
    "llamacpp_backend": "cpu"
  }
}
""",
        name="user.A",
        may_add=False,
    ),
    Sample(
        format="gpustack",
        file="backend.yaml",
        text="""backend_name: llama.cpp-custom
default_run_command: '-m /models/a.gguf -c 2048 --no-mmap' # old
version_configs:
  v1: {image_name: ghcr.io/ggml-org/llama.cpp:server}
""",
        name="llama.cpp-custom",
        may_add=False,
    ),
    Sample(
        format="program-map",
        file="settings.json",
        text="""{
  "servers": {
    // the chat model
    "chat": {
      "command": "/usr/bin/llama-server",
      "args": ["-m", "/models/a.gguf",
               "-c", "2048",
               "--no-mmap"],
      "env": {"LLAMA_ARG_TOP_K": "7"}
    }
  }
}
""",
        name="chat",
        env={"LLAMA_ARG_TOP_K": "7"},
    ),
    Sample(
        format="argument-list",
        file="argv.json",
        text="""[
  "llama-server", "-m", "/models/a.gguf",
  "-c", "2048", "--no-mmap"
]
""",
        may_add=False,
    ),
    Sample(
        format="dotenv",
        file=".env",
        text="""# what the server reads
LLAMA_ARG_TOP_K=7
export LLAMA_ARG_ALIAS='a b' # a name
""",
        words="",
        env={"LLAMA_ARG_TOP_K": "7", "LLAMA_ARG_ALIAS": "a b"},
    ),
)
