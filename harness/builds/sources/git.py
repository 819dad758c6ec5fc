"""Builds compiled from a commit of a git repository."""

import os
import re
import shutil

from harness.builds.catalogue import Build, GitReference, Origin
from harness.builds.fetched_compiler import FetchedCompiler
from harness.builds.sources.base import Delivery, Workspace
from harness.builds.sources.compiled import compile_tree
from harness.builds.toolchain import find_toolchain
from harness.errors import DigestMismatchError, SourceUnavailableError
from harness.processes.reaper import OWNER_VARIABLE, Reaper
from harness.processes.running import run_program


class GitSource:
    """Fetches one commit, without its history, and compiles it."""

    def __init__(self) -> None:
        self._compiler = FetchedCompiler()

    def deliver(self, build: Build, origin: Origin, workspace: Workspace) -> Delivery:
        """Fetch and compile the commit; errors as in ``Source``."""
        assert isinstance(origin, GitReference)
        toolchain = find_toolchain()
        commit = _fetch(origin, workspace)
        if origin.commit and commit != origin.commit:
            raise DigestMismatchError(
                f"{build.id}: {origin.ref} leads to commit {commit}, pinned is {origin.commit}"
            )
        toolchain = self._compiler.in_place_of(toolchain, workspace, options=origin.options)
        with workspace.turn() as turn:
            binary, details = compile_tree(
                build, origin, workspace, toolchain=toolchain, commit=commit[:9], turn=turn
            )
        return Delivery(binary=binary, asset=origin.ref, details={**details, "commit": commit})


def _fetch(origin: GitReference, workspace: Workspace) -> str:
    """Fetch a commit into the scratch directory's ``tree`` and return its id."""
    program = shutil.which("git")
    if not program:
        raise SourceUnavailableError("git is not on PATH: install it to build from a repository")
    tree = workspace.scratch / "tree"
    tree.mkdir()
    # No questions, and no settings of the user's that could change what is checked out.
    env = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"}
    env.pop("GIT_DIR", None)
    env.pop("GIT_WORK_TREE", None)

    def git(*arguments: str) -> str:
        outcome = run_program(
            [program, *arguments], directory=tree, cancelled=workspace.cancelled, env=env
        )
        if outcome.returncode:
            said = [line for line in outcome.stdout.splitlines() if "fatal" in line]
            reason = (said or outcome.stdout.splitlines() or ["no message"])[0].strip()
            where = re.sub(r"//[^/@]*@", "//", origin.url)
            raise SourceUnavailableError(f"git cannot fetch {origin.ref} of {where}: {reason}")
        return outcome.stdout.strip()

    with Reaper() as reaper, workspace.progress.task(f"fetch {origin.ref}", "steps"):
        env[OWNER_VARIABLE] = reaper.token
        git("init", "--quiet")
        git("fetch", "--quiet", "--depth", "1", "--", origin.url, origin.ref)
        git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        return git("rev-parse", "HEAD")
