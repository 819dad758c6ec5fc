from pathlib import Path

import pytest

from harness.builds.catalogue import load_catalogue, pinned_directory, read_build
from harness.config.toml_lines import line_of_field
from harness.errors import EXIT_USAGE, CatalogueError, UnknownBuildError
from harness.model import Flavour

GOOD = """\
id = "b1"
number = 1

[[sources]]
kind = "package"
project = "p"
version = "1"
file = "p-1.tar.gz"
sha256 = "{digest}"

[[sources]]
kind = "release"
tag = "b1"
""".format(digest="0" * 64)


def write(directory: Path, text: str, name: str = "b1") -> Path:
    file = directory / f"{name}.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_pinned_catalogue_has_the_builds_and_profiles() -> None:
    catalogue = load_catalogue(pinned_directory())
    ids = [build.id for build in catalogue.builds]
    wanted = ["b8929", "b9093", "b9246", "b9464", "b10435", "b11434"]
    assert [each for each in ids if each in wanted] == wanted, "oldest first"
    assert ids.index("py0.3.16") < ids.index("b8929")
    assert [build.id for build in catalogue.profile("smoke")] == ["b8929", "b9246", "b10435"]
    assert [build.id for build in catalogue.profile("full")] == ["py0.3.16", *wanted]
    assert {build.id for build in catalogue.profile("all")} == {"py0.3.16", "ik-2026-04", *wanted}


def test_every_pinned_file_has_a_digest_and_names_no_host() -> None:
    for file in pinned_directory().glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        assert "://" not in text, f"{file.name} names a host"
        assert read_build(file).sources


def test_select_takes_globs_and_refuses_what_matches_nothing() -> None:
    catalogue = load_catalogue(pinned_directory())
    assert [build.id for build in catalogue.select(["b9*", "b8929"])] == [
        "b8929",
        "b9093",
        "b9246",
        "b9464",
    ]
    with pytest.raises(UnknownBuildError, match=r"'b1234'.*b9246.*builds add b1234"):
        catalogue.select(["b1234"])
    with pytest.raises(UnknownBuildError, match="smoke"):
        catalogue.profile("smoek")


def test_unknown_build_is_a_usage_error() -> None:
    with pytest.raises(UnknownBuildError) as caught:
        load_catalogue(pinned_directory()).get("nope")
    assert caught.value.exit_code == EXIT_USAGE
    assert "\n" not in str(caught.value)


def test_flavour_is_an_enum_member(tmp_path: Path) -> None:
    build = read_build(write(tmp_path, GOOD + '\n[expected]\nflavour = "legacy"\n'))
    assert build.flavour is Flavour.LEGACY
    assert not build.emulated


@pytest.mark.parametrize(
    ("old", "new", "line", "field"),
    [
        ("number = 1", 'number = "1"', 2, "number"),
        ('sha256 = "0000', 'sha256 = "00XX', 9, r"sources\[0\].sha256|sources\[...\].sha256"),
        ('tag = "b1"', 'tag = ""', 13, "tag"),
        ('tag = "b1"', 'tga = "b1"', 13, "tga"),
        ('kind = "release"', 'kind = "rlease"', 12, "kind"),
        ('project = "p"\n', "", 4, "project"),
        ('id = "b1"', 'id = "../b1"', 1, "id"),
        ('id = "b1"', 'id = "b2"', 1, "id"),
        ("number = 1", "number = ", 2, "not valid TOML"),
    ],
)
def test_a_wrong_file_names_file_line_and_field(
    tmp_path: Path, old: str, new: str, line: int, field: str
) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(CatalogueError, match=field) as caught:
        load_catalogue(tmp_path)
    message = str(caught.value)
    assert str(file) in message
    assert f":{line}:" in message or f"line {line}" in message
    assert "\n" not in message


def test_line_of_field_finds_the_right_element_of_a_list() -> None:
    text = "a = 1\n[[s]]\nx = 1\n[[s]]\n# x\nx = 2\n"
    assert line_of_field(text, "s[0].x") == 3
    assert line_of_field(text, "s[1].x") == 6
    assert line_of_field(text, "s[1].missing") == 4
    assert line_of_field(text, "missing") == 1
