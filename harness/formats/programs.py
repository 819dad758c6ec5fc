"""Which words of a command are a llama-server's arguments, behind whatever starts it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Final

from harness.flags.families import MODEL, REMOTE_MODEL
from harness.formats.command_line import AddVariables, PlacedLine, Variable
from harness.formats.containers import Kind, kind_of_image
from harness.formats.places import BlankRow, Edit, Row, Word, assignment_at
from harness.formats.traced import Traced
from harness.formats.words import assignment, stands

_DEPTH: Final = 20
_SERVER: Final = re.compile(r"llama-server(?:[-_.][\w.-]+)?")
_NO_PROGRAM: Final = frozenset(
    {".service", ".sh", ".bash", ".log", ".conf", ".cfg", ".env", ".txt", ".yaml", ".yml", ".json"}
    | {".py", ".js", ".pid", ".sock", ".socket", ".container", ".bat", ".cmd", ".ps1", ".md"}
    | {".cpp", ".dockerfile", ".gguf", ".toml", ".ini", ".plist", ".timer", ".zip", ".gz"}
)
_MODEL_FLAGS: Final = frozenset({*MODEL.flags, *REMOTE_MODEL.flags})
_ASKS: Final = frozenset({"--version", "--help", "-h", "--usage", "--list-devices"})
"""With one of these a server tells something and ends."""

_MENTIONS: Final = frozenset(
    ["[", "[[", "alias", "apk", "apt", "apt-get", "basename", "brew", "cat", "cd", "cd", "chmod", "chown", "cmake", "cp", "curl", "declare", "dirname", "dnf", "echo", "export", "file", "find", "git", "grep", "hash", "install", "kill", "killall", "ldd", "ln", "local", "ls", "make", "man", "mkdir", "mv", "ninja", "pacman", "pgrep", "pidof", "pip", "pkill", "printf", "ps", "read", "readonly", "realpath", "rm", "sed", "strip", "systemctl", "tail", "tar", "taskkill", "test", "touch", "trap", "type", "unset", "wget", "where", "which", "whereis", "unzip", "where.exe", "title", "rem", "journalctl", "service", "rc-service", "tee", "awk", "wait"]
)
"""Commands that name the program and do not start it."""

_SHELLS: Final = frozenset({"sh", "bash", "zsh", "dash", "ash", "ksh", "busybox"})
_ENGINES: Final = frozenset({"docker", "podman", "nerdctl", "docker-compose", "podman-compose"})


@dataclass(frozen=True, kw_only=True)
class Wrapper:
    """A program that starts another.

    Attributes:
        values: Its options that take a value.
        operands: How many words of its own come before the program.
        assigns: Whether it takes ``NAME=value`` for the program.
        clears: Whether it hands on no variables but those; then the options that make it.
    """

    values: frozenset[str] = frozenset()
    operands: int = 0
    assigns: bool = False
    clears: bool | frozenset[str] = False


def _wrapper(values: str = "", **rest: object) -> Wrapper:
    return Wrapper(values=frozenset(values.split()), **rest)  # type: ignore[arg-type]


_SUDO: Final = "-u --user -g --group -h --host -p --prompt -C -D --chdir -R -T -U -r --role -t"
_WRAPPERS: Final[Mapping[str, Wrapper]] = {
    "sudo": _wrapper(_SUDO, assigns=True, clears=True),
    "doas": _wrapper("-u -C", assigns=True, clears=True),
    "env": _wrapper("-u --unset -C --chdir", assigns=True),
    "exec": _wrapper("-a"),
    "command": _wrapper(),
    "builtin": _wrapper(),
    "eval": _wrapper(),
    "nohup": _wrapper(),
    "setsid": _wrapper(),
    "time": _wrapper("-f -o --format --output"),
    "timeout": _wrapper("-k --kill-after -s --signal", operands=1),
    "nice": _wrapper("-n --adjustment"),
    "ionice": _wrapper("-c -n -p -P -u --class --classdata"),
    "chrt": _wrapper("-T -P -D", operands=1),
    "taskset": _wrapper(operands=1),
    "numactl": _wrapper(
        "-i --interleave -p --preferred -m --membind -N --cpunodebind -C --physcpubind -w "
        "--weighted-interleave -P --preferred-many"
    ),
    "stdbuf": _wrapper("-i -o -e --input --output --error"),
    "unbuffer": _wrapper(),
    "caffeinate": _wrapper("-t -w"),
    "arch": _wrapper(),
    "catchsegv": _wrapper(),
    "strace": _wrapper("-e -o -p -s -P"),
    "ltrace": _wrapper("-e -o -p"),
    "gdb": _wrapper("-ex -x"),
    "valgrind": _wrapper(),
    "tini": _wrapper("-p -e"),
    "dumb-init": _wrapper("-r --rewrite"),
    "catatonit": _wrapper(),
    "gosu": _wrapper(operands=1),
    "su-exec": _wrapper(operands=1),
    "setpriv": _wrapper("--reuid --regid --groups"),
    "s6-setuidgid": _wrapper(operands=1),
    "chpst": _wrapper("-u -U -e -n -l -L -/"),
    "chroot": _wrapper("--userspec --groups", operands=1),
    "prime-run": _wrapper(),
    "gamemoderun": _wrapper(),
    "mangohud": _wrapper(),
    "proxychains": _wrapper("-f"),
    "proxychains4": _wrapper("-f"),
    "torsocks": _wrapper(),
    "firejail": _wrapper(),
    "distrobox": _wrapper("-n --name -a --additional-flags", operands=2),
    "distrobox-enter": _wrapper("-n --name", operands=1),
    "toolbox": _wrapper("-c --container", operands=1),
    "flatpak-spawn": _wrapper(),
    "systemd-run": _wrapper(
        "-p --property -u --unit --slice --uid --gid -E --setenv --description --working-directory "
        "-M --machine --nice -H --host"
    ),
    "systemd-inhibit": _wrapper("--who --why --what --mode"),
    "op": _wrapper(operands=1),
    "doppler": _wrapper("-p -c --project --config", operands=1),
    "dotenv": _wrapper("-e -f"),
    "uv": _wrapper(operands=1),
    "srun": _wrapper("-n -N -p -J -w -G -c -t -A"),
    "mpirun": _wrapper("-n -np -H --host --hostfile"),
    "apptainer": _wrapper("-B --bind --env --pwd -H --home --env-file", operands=2),
    "singularity": _wrapper("-B --bind --env --pwd -H --home --env-file", operands=2),
    "wsl": _wrapper("-d --distribution -u --user --cd"),
    "ssh": _wrapper("-p -i -l -o -L -R -D -F -J -b -c -E -e -m -O -S -W -w", operands=1),
    "call": _wrapper(),
}

_FLAGS_OF_RUN: Final = frozenset(
    ["-d", "--detach", "-i", "--interactive", "-t", "--tty", "--rm", "--init", "--privileged", "--read-only", "-P", "--publish-all", "--no-healthcheck", "--oom-kill-disable", "--sig-proxy", "--disable-content-trust", "-q", "--quiet", "--replace", "--rmi", "--env-host", "--http-proxy", "--no-hosts", "--rootfs", "--tls-verify", "--use-api-socket", "--no-hostname", "--systemd-activation", "--read-only-tmpfs", "-it", "-dit"]
)
"""Options of ``docker run`` and ``podman run`` that take no value."""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What a command stands in.

    Attributes:
        file: The whole file.
        shell: Reads the text that a command hands to a shell, with the variables it has there.
        beside: The text of a file beside this one.
    """

    file: str
    shell: Callable[[Traced, Mapping[str, Variable]], list[PlacedLine]]
    beside: Callable[[str], str | None]


def program_name(word: str) -> str:
    """A program's name without its path and ``.exe``."""
    name = PurePosixPath(word).name
    return PureWindowsPath(name).name.lower().removesuffix(".exe")


def arguments_at(words: Sequence[str], index: int) -> int | None:
    """Where the arguments begin if a llama-server program stands at an index; else None."""
    word, rest = words[index], words[index + 1 :]
    if word.startswith("-") or re.search(r"\s", PureWindowsPath(word).name):
        found = re.fullmatch(
            r"\$\([^()]*\bllama-server\b[^()]*\)|`[^`]*\bllama-server\b[^`]*`", word
        )
        return index + 1 if found else None
    name = program_name(word)
    if _SERVER.fullmatch(name) and PurePosixPath(name).suffix not in _NO_PROGRAM:
        return index + 1
    if name in {"llama", "llama-app"} and rest[:1] in (["serve"], ["server"]):
        return index + 2
    if name == "tools.sh" and rest[:1] in (["--server"], ["-s"]):
        return index + 2
    if name == "server" and not _MODEL_FLAGS.isdisjoint(rest):
        return index + 1  # what it was called until June 2024
    variable = re.fullmatch(r"\"?[$%]\{?(\w+)[}%]?\"?", word)
    if variable and re.search("llama|server", variable[1], re.IGNORECASE) and rest:
        return index + 1 if rest[0].startswith("-") and _has_model(rest) else None
    return None


def _has_model(words: Iterable[str]) -> bool:
    return any(word.partition("=")[0] in _MODEL_FLAGS for word in words)


def looks_like_arguments(words: Sequence[str], env: Iterable[str]) -> bool:
    """Whether words without a program read as a llama-server's arguments, and no other's."""
    own = any(name.startswith("LLAMA_ARG_") for name in env)
    if not words:
        return own
    return words[0].startswith("-") and (
        own
        or not {"-m", "-hf", "-hfr", "-mu", "--hf-repo", "--models-dir", "--models-preset"}
        .isdisjoint(words)
        or any(word.endswith(".gguf") for word in words)
    )  # fmt: skip


def servers_of(
    words: Sequence[Word],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None = None,
    depth: int = 0,
) -> list[PlacedLine]:
    """The command lines of the llama-servers that a command starts; most start none.

    Args:
        words: The command.
        env: The variables it is started with.
        around: What it stands in.
        add: Sets more variables; the words before the command where there is none.
        depth: How many programs started it.
    """
    variables, words = dict(env), list(words)
    add = add or _before(words, variables)
    while words and (assigned := assignment(words[0])):
        variables[assigned[0]] = variable_of(assigned[1], words.pop(0))
    if not words or depth > _DEPTH:
        return []
    plain = [str(word) for word in words]
    start = arguments_at(plain, 0)
    if start is not None:
        if plain[start : start + 1] and plain[start] in _ASKS:
            return []
        return [_line(words, start, variables, add)]
    name = program_name(plain[0])
    if name in _ENGINES:
        return _run_by_engine(words[1:], variables, around, depth)
    if name in _SHELLS and (script := _script(plain)):
        return around.shell(words[script].text, variables)
    if name in {"env"} and "-S" in plain[:2]:
        return around.shell(Traced.joined(_spaced(words[2:])), variables)
    if name == "command" and plain[1:2] in (["-v"], ["-V"]):
        return []
    if wrapper := _WRAPPERS.get(name):
        return _behind(wrapper, words, variables, around, add, depth)
    if name in _MENTIONS:
        return []
    return _somewhere(words, plain, variables, around, add)


def variable_of(value: Traced, word: Word) -> Variable:
    """A variable that one word sets."""
    known = None if stands(value.text) else value.text
    return Variable(value=known, place=assignment_at(word.place))


def _line(
    words: Sequence[Word], start: int, env: Mapping[str, Variable], add: AddVariables | None
) -> PlacedLine:
    program = words[start - 1].place
    row: Row | None = None
    if program:
        row = program.row
        if isinstance(row, BlankRow):
            row = replace(row, write=program.write, head=program.end, pad=" ")
        else:
            row = _After(row, program)
    return PlacedLine(words=tuple(words[start:]), env=env, row=row, add=add)


@dataclass(frozen=True, slots=True)
class _After:
    """The row that a program begins, where it has no arguments yet."""

    row: Row
    program: "object"

    def insert(self, words: Sequence[str], *, after: object = None, before: object = None) -> Edit:
        """See Row."""
        return self.row.insert(words, after=self.program)  # type: ignore[arg-type]

    def remove(self, first: object, last: object) -> Edit:
        """See Row."""
        return self.row.remove(first, last)  # type: ignore[arg-type]


def _before(words: Sequence[Word], env: Mapping[str, Variable]) -> AddVariables | None:
    """Sets variables in front of a command, as a shell reads them."""
    del env
    place = words[0].place if words else None
    if place is None or not isinstance(place.row, BlankRow):
        return None
    return lambda pairs: [place.row.insert([f"{n}={v}" for n, v in pairs], before=place)]


def _script(words: Sequence[str]) -> int | None:
    """Which word is the text of ``sh -c TEXT``."""
    for index, word in enumerate(words[1:-1], start=1):
        if re.fullmatch(r"-[a-z]*c", word):
            return index + 1
        if not word.startswith(("-", "+")) and words[0] != "busybox":
            return None
    return None


def _spaced(words: Iterable[Word]) -> list[Traced]:
    return [piece for word in words for piece in (word.text, Traced.made(" "))]


def _own_options(wrapper: Wrapper, words: Sequence[Word]) -> tuple[int, list[Word]]:
    """How many words are the wrapper's own, and which of them set variables."""
    assigned, index, operands = [], 0, wrapper.operands
    while index < len(words):
        word = str(words[index])
        if word == "--":
            index += 1
            if not operands:
                break
        elif word.startswith("-") and len(word) > 1:
            index += 2 if word in wrapper.values else 1
        elif wrapper.assigns and assignment(words[index]):
            assigned.append(words[index])
            index += 1
        elif operands:
            operands -= 1
            index += 1
        else:
            break
    return index, assigned


def _behind(
    wrapper: Wrapper,
    words: Sequence[Word],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None,
    depth: int,
) -> list[PlacedLine]:
    count, assigned = _own_options(wrapper, words[1:])
    own, rest = words[1 : 1 + count], words[1 + count :]
    options = {str(word) for word in own}
    keeps = not wrapper.clears or any(re.match(r"-E|--preserve-env", one) for one in options)
    if options & {"-i", "--ignore-environment"} and program_name(str(words[0])) == "env":
        keeps = False
    variables = dict(env) if keeps else {}
    for word in assigned:
        found = assignment(word)
        if found:
            variables[found[0]] = variable_of(found[1], word)
    if wrapper.assigns:
        add = _before(rest, variables) or add
    if len(rest) == 1 and " " in str(rest[0]).strip():
        found_lines = around.shell(rest[0].text, variables)  # ssh, eval and su take a whole text
    else:
        found_lines = servers_of(rest, variables, around, add, depth + 1)
    lost = [name for name in env if name not in variables and name.startswith("LLAMA_")]
    note = (f"{words[0]} does not hand on {', '.join(lost)}",) if lost else ()
    return [replace(line, assumed=(*note, *line.assumed)) for line in found_lines]


def _somewhere(
    words: Sequence[Word],
    plain: Sequence[str],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None,
) -> list[PlacedLine]:
    """Behind a program that is not known here: tmux, screen, a script that takes a command."""
    for index in range(1, len(words)):
        start = arguments_at(plain, index)
        if start is not None:
            follows = plain[start : start + 1]
            if follows and follows[0].startswith("-") and follows[0] not in _ASKS:
                return [_line(words, start, env, add)]
            return []
        if re.search(r"(^|[\s/\\])llama(-server|(\.exe)? serve)\S*\s+-", plain[index]):
            return around.shell(words[index].text, env)
    return []


def _run_by_engine(
    words: Sequence[Word], env: Mapping[str, Variable], around: Around, depth: int
) -> list[PlacedLine]:
    plain = [str(word) for word in words]
    verb = next((i for i, word in enumerate(plain) if word in {"run", "create", "exec"}), None)
    if verb is None:
        return []
    index, own, files, entrypoint = verb + 1, dict[str, Variable](), list[str](), list[Word]()
    passed = lambda name: env.get(name, Variable(value=None))  # noqa: E731
    while index < len(words) and plain[index].startswith("-"):
        option, equals, _ = plain[index].partition("=")
        clustered = re.fullmatch(r"-[ditPq]+", option) or option in _FLAGS_OF_RUN
        attached = not option.startswith("--") and len(option) > 2 and not clustered
        if attached:
            option, word = option[:2], Word(words[index].text[2:])
        elif equals:
            word = Word(words[index].text[len(option) + 1 :])
        elif clustered:
            index += 1
            continue
        else:
            index += 1
            if index == len(words):
                return []
            word = words[index]
        if option in {"-e", "--env"}:
            assigned = assignment(word)
            if assigned:
                own[assigned[0]] = variable_of(assigned[1], word)
            else:
                own[str(word)] = replace(passed(str(word)), place=None)
        elif option == "--env-file":
            files.append(str(word))
        elif option == "--entrypoint":
            entrypoint = [word]
        index += 1
    if index >= len(words):
        return []
    beyond = index + 1
    if plain[verb] == "exec" or program_name(plain[0]).startswith("compose"):
        return servers_of(words[beyond:], own, around, depth=depth + 1)
    place, note = words[index].place, list[str]()
    for name in files:
        text = around.beside(name)
        if text is None:
            note.append(f"{name} is not there, and what it sets is not known")
        else:
            own = {**variables_of_file(text, raw=True), **own}
    add: AddVariables | None = None
    if place and isinstance(place.row, BlankRow):
        add = lambda pairs: [  # noqa: E731
            place.row.insert([word for n, v in pairs for word in ("-e", f"{n}={v}")], before=place)
        ]
    lines = container(
        image=plain[index],
        entrypoint=entrypoint or None,
        command=words[beyond:],
        env=own,
        around=around,
        add=add,
    )
    if place and isinstance(place.row, BlankRow):
        head = replace(place.row, write=place.write, head=place.end, pad=" ")
        lines = [line if line.words else replace(line, row=head) for line in lines]
    return [replace(line, assumed=(*note, *line.assumed)) for line in lines]


def container(
    *,
    image: str,
    entrypoint: Sequence[Word] | None,
    command: Sequence[Word],
    env: Mapping[str, Variable],
    around: Around,
    add: AddVariables | None = None,
) -> list[PlacedLine]:
    """The command lines of the servers that a container starts.

    Args:
        image: The image's name.
        entrypoint: What is started in place of what the image has; None where nothing is.
        command: What is handed to it.
        env: The container's variables.
        around: What it stands in.
        add: Sets more variables.
    """
    if entrypoint:
        return servers_of([*entrypoint, *command], env, around, add)
    plain = [str(word) for word in command]
    row = command[0].place.row if command and command[0].place else None
    whole = PlacedLine(words=tuple(command), env=env, row=row, add=add)
    kind = kind_of_image(image)
    if kind is Kind.SERVER:
        return [whole]
    if kind is Kind.TOOLS:
        is_server = plain[:1] in (["--server"], ["-s"])
        return [_line(command, 1, env, add)] if is_server else []
    found = servers_of(command, env, around, add)
    if found or kind is Kind.OTHER:
        return found
    if plain and plain[0].startswith("-") and kind is Kind.LLAMA:
        return [whole]
    return [whole] if looks_like_arguments(plain, env) else []


def variables_of_file(text: str, *, raw: bool = False) -> dict[str, Variable]:
    """The variables that a file of ``NAME=value`` lines sets."""
    from harness.formats.dotenv import values

    return {
        name: Variable(value=None if stands(value) else value)
        for name, value in values(text, {}, raw=raw).items()
    }
