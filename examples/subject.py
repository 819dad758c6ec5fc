#!/usr/bin/env python3
"""A small flag generator for llama-harness: MTP where the build has it, else nothing.

Run it as a subject:

    llama-harness matrix --subject "command:python examples/subject.py" --build 'b9*'
"""

import json
import subprocess
import sys


def main() -> None:
    """Answer one question."""
    question = json.load(sys.stdin)
    request, target = question["request"], question["target"]
    argv = ["-m", target["model_path"], "--host", target["host"], "--port", str(target["port"])]
    argv += ["-c", str(request["context_length"])]
    answer = {"argv": argv, "resolved_mode": "off"}

    if (request["mode"] or "auto").strip().lower() in ("mtp", "draft-mtp"):
        help_text = subprocess.run(
            [target["binary"], "--help"], capture_output=True, text=True, check=True
        ).stdout
        if "draft-mtp" in help_text:
            length = request["draft_n_max"] or 3
            argv += ["--spec-type", "draft-mtp", "--spec-draft-n-max", str(length)]
            answer["resolved_mode"] = "mtp"
        else:
            answer["reason"] = "this llama-server knows no MTP; loading without speculation"

    argv += request["extra_args"]
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
