import os
import shutil
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.builds.cmake_model import read_sources
from harness.builds.platforms import this_platform
from harness.builds.recipe import FAST, PLAIN, Compiled, Recipe, compile_server
from harness.builds.sources.base import Turn
from harness.builds.toolchain import Toolchain, find_toolchain
from harness.errors import CompileError, SourceUnavailableError
from harness.processes.running import CancelledError
from harness.terminal import Progress
from tests.unit.builds.builds_bench import CMAKELISTS, write_tree


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    try:
        return find_toolchain()
    except SourceUnavailableError as error:
        pytest.skip(str(error))


def make(directory: Path, toolchain: Toolchain, recipe: Recipe = FAST, **changes: str) -> Compiled:
    return compile_server(
        write_tree(directory / "tree", **changes),
        directory,
        toolchain=toolchain,
        platform=this_platform(),
        progress=Progress(),
        cancelled=threading.Event(),
        label="tiny",
        number=42,
        recipe=recipe,
    )


def version(binary: Path) -> str:
    answer = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    return answer.stderr.strip()


def test_a_clash_is_divided_and_the_program_is_whole(tmp_path: Path, toolchain: Toolchain) -> None:
    compiled = make(tmp_path, toolchain)
    assert version(compiled.binary) == "version: 42 (tiny)"
    assert compiled.details["recipe"] == "unity"
    assert compiled.details["divided_units"] == "1", "one.cpp and two.cpp cannot share a unit"
    assert "GGML_NATIVE=OFF" in compiled.details["options"]


def test_sources_that_the_tree_joins_itself_are_planned_like_all_others(
    tmp_path: Path, toolchain: Toolchain
) -> None:
    if not toolchain.can_join:
        pytest.skip("sources are not joined here")
    joined = CMAKELISTS.replace(
        "add_library(loose",
        "set_target_properties(part PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 2)\n"
        "set_source_files_properties(three.cpp PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)\n"
        "add_library(loose",
    )
    compiled = make(tmp_path, toolchain, CMakeLists_txt=joined)
    assert version(compiled.binary) == "version: 42 (tiny)"
    units = [text.read_text("utf-8") for text in tmp_path.glob("build/**/Unity/unity_part*.cxx")]
    assert any("three.cpp" in text for text in units)


def test_the_plain_recipe_gives_the_same_program(tmp_path: Path, toolchain: Toolchain) -> None:
    compiled = make(tmp_path, toolchain, PLAIN)
    assert version(compiled.binary) == "version: 42 (tiny)"
    assert compiled.details["recipe"] == "plain"


def test_the_tree_is_not_written_to(tmp_path: Path, toolchain: Toolchain) -> None:
    before = sorted(write_tree(tmp_path / "tree").rglob("*"))
    make(tmp_path, toolchain)
    assert sorted((tmp_path / "tree").rglob("*")) == before


def test_its_turn_begins_once_it_is_configured_and_ends_with_the_last_unit(
    tmp_path: Path, toolchain: Toolchain
) -> None:
    seen: list[str] = []

    @contextmanager
    def slot(name: str) -> Iterator[None]:
        configured = (tmp_path / "build" / "build.ninja").is_file()
        seen.append(f"{name} {configured}")
        yield
        seen.append(f"{name} ended")

    with Turn(lambda: slot("prepare"), lambda: slot("compile")) as turn:
        compile_server(
            write_tree(tmp_path / "tree"),
            tmp_path,
            toolchain=toolchain,
            platform=this_platform(),
            progress=Progress(),
            cancelled=threading.Event(),
            label="tiny",
            turn=turn,
        )
        assert seen == ["prepare False", "compile True", "prepare ended", "compile ended"]


@pytest.mark.parametrize("recipe", [FAST, PLAIN], ids=["unity", "plain"])
def test_a_source_that_does_not_compile_is_named(
    tmp_path: Path, toolchain: Toolchain, recipe: Recipe
) -> None:
    with pytest.raises(CompileError, match=r"tiny: .*three\.cpp.*error") as caught:
        make(tmp_path, toolchain, recipe, three_cpp="int three() { return missing; }\n")
    assert "\n" not in str(caught.value)


def test_a_program_that_does_not_link_is_named(tmp_path: Path, toolchain: Toolchain) -> None:
    with pytest.raises(CompileError, match=r"does not link.*three"):
        make(tmp_path, toolchain, three_cpp="int other() { return 3; }\n")


def test_a_tree_that_cmake_refuses_is_named(tmp_path: Path, toolchain: Toolchain) -> None:
    with pytest.raises(CompileError, match=r"cmake cannot configure it.*no such thing"):
        make(tmp_path, toolchain, CMakeLists_txt='message(FATAL_ERROR "no such thing")\n')


def test_a_tree_without_a_server_is_named(tmp_path: Path, toolchain: Toolchain) -> None:
    with pytest.raises(CompileError, match="no program llama-server"):
        make(
            tmp_path,
            toolchain,
            CMakeLists_txt="cmake_minimum_required(VERSION 3.14)\nproject(x C CXX)\n",
        )


def test_giving_up_ends_the_compilers(tmp_path: Path, toolchain: Toolchain) -> None:
    cancelled = threading.Event()
    endless = "template<int N> struct s { s<N + 1> * next; int f() { return s<N + 1>().f(); } };\n"
    tree = write_tree(tmp_path / "tree", three_cpp=endless + "int three() { return s<0>().f(); }\n")
    threading.Timer(1.5, cancelled.set).start()
    with pytest.raises((CancelledError, CompileError)):
        compile_server(
            tree,
            tmp_path,
            toolchain=toolchain,
            platform=this_platform(),
            progress=Progress(),
            cancelled=cancelled,
            label="tiny",
        )


def test_the_model_lists_every_source(tmp_path: Path, toolchain: Toolchain) -> None:
    make(tmp_path, toolchain, PLAIN)
    groups = read_sources(tmp_path / "build", "llama-server")
    names = {source.name for group in groups for source in group.sources}
    assert names == {"server.cpp", "one.cpp", "two.cpp", "three.cpp", "four.c", "loose.cpp"}
    assert {group.language for group in groups} == {"C", "CXX"}


def test_a_shared_library_of_the_tree_is_named(tmp_path: Path, toolchain: Toolchain) -> None:
    lists = CMAKELISTS.replace("add_library(part", "add_library(part SHARED")
    with pytest.raises(CompileError, match="part is a shared library in spite of the options"):
        make(tmp_path, toolchain, CMakeLists_txt=lists)


def test_units_are_free_of_absolute_paths(tmp_path: Path, toolchain: Toolchain) -> None:
    """A compiler cache finds them again, wherever the scratch directory is."""
    make(tmp_path, toolchain)
    units = list(tmp_path.glob("build/**/Unity/*.cxx"))
    assert units
    assert not any(str(tmp_path) in unit.read_text(encoding="utf-8") for unit in units)


def test_a_missing_compiler_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match=r"no C\+\+ compiler found"):
        find_toolchain({"PATH": str(tmp_path)})
    with pytest.raises(SourceUnavailableError, match=r"CXX names, 'nope\+\+'"):
        find_toolchain({"PATH": str(tmp_path), "CXX": "nope++"})


def test_cmake_and_ninja_are_found_without_a_path(tmp_path: Path) -> None:
    compiler = shutil.which("c++") or pytest.skip("no c++")
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("c++", "cc"):
        (directory / name).symlink_to(compiler)
    found = find_toolchain({"PATH": str(directory)})
    assert found.cmake.name.startswith("cmake")
    assert found.ninja.name.startswith("ninja")
    assert found.cache is None or found.cache.parent == Path(sysconfig.get_path("scripts"))


def test_ccache_of_the_package_knows_units_again_in_another_directory(
    tmp_path: Path, toolchain: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not toolchain.can_join:
        pytest.skip("sources are not joined here")
    directory = tmp_path / "bin"
    directory.mkdir()
    for name in ("c++", "cc"):
        (directory / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name}"))
    monkeypatch.setenv("LLAMA_HARNESS_CACHE", str(tmp_path / "store"))
    for name in ("CCACHE_DIR", "CCACHE_DISABLE", "CCACHE_DEPEND", "CCACHE_BASEDIR"):
        monkeypatch.delenv(name, raising=False)
    found = find_toolchain({"PATH": str(directory)})
    if found.cache is None:
        pytest.skip("no package of ccache for this host")
    first = make(tmp_path / "first", found)
    second = make(tmp_path / "second", found, three_cpp="int three() { return 3 + 0; }\n")
    assert first.details["cache"] == "ccache"
    assert version(second.binary) == "version: 42 (tiny)"
    stats = subprocess.run(
        [found.cache, "--print-stats"],
        env={**os.environ, "CCACHE_DIR": str(tmp_path / "store" / "ccache")},
        capture_output=True,
        text=True,
        check=True,
    )
    counts = dict(line.split() for line in stats.stdout.splitlines())
    assert int(counts["direct_cache_hit"]) >= 2, "server.cpp and four.c are as they were"
    assert int(counts["cache_miss"]) >= 1


@pytest.mark.parametrize("name", ["ccache", "sccache"])
def test_a_compiler_cache_on_path_is_used(tmp_path: Path, name: str) -> None:
    """A stand-in for the cache notes each call and runs the compiler."""
    log = tmp_path / "calls"
    directory = tmp_path / "bin"
    directory.mkdir()
    script = directory / name
    script.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec "$@"\n')
    script.chmod(0o755)
    for program in ("cc", "c++"):
        (directory / program).symlink_to(shutil.which(program) or pytest.skip(f"no {program}"))
    # A directory of its own, since this host may have the other cache.
    compiled = make(tmp_path, find_toolchain({"PATH": str(directory)}))
    assert compiled.details["cache"] == name
    assert "-c ../tree/server.cpp" in log.read_text() or "server.cpp" in log.read_text()
    assert version(compiled.binary) == "version: 42 (tiny)"


def test_a_source_that_the_archive_lacks_is_named(tmp_path: Path, toolchain: Toolchain) -> None:
    lists = CMAKELISTS.replace("three.cpp", "kernel.cu.cpp")
    with pytest.raises(CompileError, match=r"Cannot find source file: kernel\.cu\.cpp"):
        make(tmp_path, toolchain, CMakeLists_txt=lists)


@pytest.mark.skipif(sys.platform == "win32", reason="scripts as programs")
def test_a_cross_compiler_strips_with_a_program_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("other-linux-gnu-g++", "other-linux-gnu-gcc", "other-linux-gnu-strip", "strip"):
        (tmp_path / name).write_text("#!/bin/sh\necho 1\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    path = {"PATH": os.environ["PATH"]}
    cross = find_toolchain({**path, "CXX": "other-linux-gnu-g++"})
    assert cross.strip == tmp_path / "other-linux-gnu-strip"
    assert cross.c_compiler == "other-linux-gnu-gcc"
    assert find_toolchain(path).strip == tmp_path / "strip"
