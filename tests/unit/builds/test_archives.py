import io
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from harness.builds.archives import find_program, unpack
from harness.errors import SourceUnavailableError

posix = pytest.mark.skipif(sys.platform == "win32", reason="modes and links as on POSIX")


def tar(path: Path, *members: tuple[str, bytes | str], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members:
            info = tarfile.TarInfo(name)
            if isinstance(content, str):
                info.type = tarfile.SYMTYPE
                info.linkname = content
                archive.addfile(info)
            else:
                info.size = len(content)
                info.mode = 0o755
                archive.addfile(info, io.BytesIO(content))
    return path


def zipped(path: Path, *members: tuple[str, bytes], link: tuple[str, str] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content)
        if link:
            info = zipfile.ZipInfo(link[0])
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, link[1])
    return path


@pytest.mark.parametrize("mode", ["w:gz", "w:xz", "w"])
def test_a_tarball_keeps_modes_and_relative_links(tmp_path: Path, mode: str) -> None:
    archive = tar(
        tmp_path / "a.tar", ("top/lib.so.1", b"lib"), ("top/lib.so", "lib.so.1"), mode=mode
    )
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/top/lib.so").read_bytes() == b"lib"
    if sys.platform != "win32":
        assert (tmp_path / "out/top/lib.so").is_symlink()
        assert (tmp_path / "out/top/lib.so.1").stat().st_mode & 0o111


def test_below_unpacks_only_that_folder(tmp_path: Path) -> None:
    archive = tar(
        tmp_path / "a.tar.gz", ("p-1/vendor/x/CMakeLists.txt", b"x"), ("p-1/src/big.cpp", b"y")
    )
    unpack(archive, tmp_path / "out", below="vendor/x")
    assert (tmp_path / "out/p-1/vendor/x/CMakeLists.txt").is_file()
    assert not (tmp_path / "out/p-1/src").exists()


def test_below_picks_a_file_or_a_folder_of_a_zip(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "a.whl", ("p/zig", b"x"), ("p/lib/include/a.h", b"y"), ("p/lib/std/b", b"z")
    )
    for below in ("zig", "lib/include"):
        unpack(archive, tmp_path / "out", below=below)
    files = {path.name for path in (tmp_path / "out/p").rglob("*") if path.is_file()}
    assert files == {"zig", "a.h"}


@posix
def test_a_zip_keeps_links_that_stay_inside(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "a.zip", ("build/bin/lib.so.1", b"l"), link=("build/bin/lib.so", "lib.so.1")
    )
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/build/bin/lib.so").read_bytes() == b"l"


@pytest.mark.parametrize(
    "members",
    [
        [("../evil", b"x")],
        [("top/../../evil", b"x")],
        [("top/link", "../../evil")],
        [("top/link", "/etc"), ("top/link/evil", b"x")],
    ],
)
def test_a_tarball_that_escapes_is_refused(
    tmp_path: Path, members: list[tuple[str, bytes | str]]
) -> None:
    archive = tar(tmp_path / "a.tar.gz", *members)
    with pytest.raises(SourceUnavailableError, match=r"a\.tar\.gz: refused"):
        unpack(archive, tmp_path / "deep" / "out")
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil", "..\\evil", "C:/evil"])
def test_a_zip_that_escapes_is_refused(tmp_path: Path, name: str) -> None:
    archive = zipped(tmp_path / "a.zip", (name, b"x"))
    with pytest.raises(SourceUnavailableError, match="refused"):
        unpack(archive, tmp_path / "deep" / "out")
    assert not [path for path in tmp_path.rglob("*evil*") if path.is_file()]


@posix
@pytest.mark.parametrize("target", ["../../evil", "/etc/passwd"])
def test_a_zip_link_that_escapes_is_refused(tmp_path: Path, target: str) -> None:
    archive = zipped(tmp_path / "a.zip", ("a", b"x"), link=("link", target))
    with pytest.raises(SourceUnavailableError, match="refused"):
        unpack(archive, tmp_path / "deep" / "out")


@pytest.mark.parametrize("keep", [0, 10, 200])
@pytest.mark.parametrize("kind", ["tar.gz", "tar.xz", "zip"])
def test_a_truncated_archive_is_one_clear_error(tmp_path: Path, kind: str, keep: int) -> None:
    whole = tmp_path / f"whole.{kind}"
    content = bytes(range(256)) * 400
    if kind == "zip":
        zipped(whole, ("a", content))
    else:
        tar(whole, ("a", content), mode=f"w:{kind.removeprefix('tar.')}")
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(SourceUnavailableError, match=r"cut\.") as caught:
        unpack(cut, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_find_program_takes_the_shallowest(tmp_path: Path) -> None:
    for name in ("z/llama-server", "a/b/llama-server"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "llama-server").mkdir()
    assert find_program(tmp_path, "llama-server") == tmp_path / "z/llama-server"
    assert find_program(tmp_path, "other") is None


def test_a_tar_archive_whose_last_entry_is_a_zip_file_is_a_tar_archive(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner.whl", tmp_path / "outer.tar"
    with zipfile.ZipFile(inner, "w") as package:
        package.writestr("inside", "x")
    with tarfile.open(outer, "w") as bundle:
        bundle.add(inner, "inner.whl")
    unpack(outer, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["inner.whl"]
