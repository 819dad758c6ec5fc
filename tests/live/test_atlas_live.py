"""The atlas against every build in the store: what its --help says, and what it refuses."""

import json
import random
import subprocess
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from harness.builds import AcquiredBuild, Build, load_catalogue
from harness.builds.catalogue import ReleaseAsset
from harness.builds.offers import Offer, package_offers
from harness.cells.qualification import open_store
from harness.cli import main
from harness.environments import open_environment
from harness.flags.atlas import Facts, load_atlas
from harness.flags.capabilities import probe
from harness.flags.standing import Status, standing
from tests.atlas.reading import unlike

pytestmark = pytest.mark.live

ATLAS = load_atlas()
BOGUS = "no-such-value"
REFUSED_LATER = frozenset({"--tools", "--chat-template"})
"""Their values are looked at after the arguments are read, or not at all."""


def numbered() -> Iterator[Build]:
    """The upstream builds of the full profile, and any others that are in the user's store."""
    store = open_store()
    for build in load_catalogue().builds:
        number = build.upstream_number
        wanted = "full" in build.profiles or store.find(build) is not None
        if wanted and number is not None and number in ATLAS:
            yield build


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    with open_environment("cpu", home=tmp_path_factory.mktemp("home")) as opened:
        yield opened


@pytest.fixture(params=[pytest.param(build, id=build.id) for build in numbered()])
def acquired(request: pytest.FixtureRequest) -> AcquiredBuild:
    return open_store().acquire(request.param)


@pytest.fixture
def number(acquired: AcquiredBuild) -> int:
    number = acquired.build.upstream_number
    assert number is not None
    return number


def test_the_atlas_says_what_the_build_says(
    acquired: AcquiredBuild, number: int, variables: Mapping[str, str]
) -> None:
    told = probe(acquired.binary, {**variables, **acquired.env})
    found = unlike(number, told, ATLAS)
    assert not found, "\n".join(found)


def refuses(acquired: AcquiredBuild, variables: Mapping[str, str], *words: str) -> bool:
    """Whether a build stops over its arguments; else it says its version and ends."""
    answer = subprocess.run(
        [acquired.binary, *words, "--version"],
        env={**variables, **acquired.env},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return answer.returncode != 0


def flag_of(facts: Facts) -> str:
    return next((one for one in facts.spellings if one.startswith("--")), facts.spellings[0])


def test_values_that_the_atlas_has_refused_are_refused(
    acquired: AcquiredBuild, number: int, variables: Mapping[str, str]
) -> None:
    tried = 0
    for name, facts in ATLAS.table(number).items():
        flag = flag_of(facts)
        if facts.arity != 1 or not facts.works or name in REFUSED_LATER or facts.condition:
            continue
        if facts.type == "int" or facts.values:
            tried += 1
            assert standing([flag, BOGUS], {}, number).status is Status.REFUSED, flag
            assert refuses(acquired, variables, flag, BOGUS), flag
    assert tried > 30


SYNONYMS = ("true", "false", "True", "1", "0", "enabled", "disabled", "-1")


def test_synonyms_of_on_and_off_are_taken_where_the_atlas_says_so(
    acquired: AcquiredBuild, number: int, variables: Mapping[str, str]
) -> None:
    for name, facts in ATLAS.table(number).items():
        flag = flag_of(facts)
        for value in SYNONYMS if facts.works and {"on", "off"} <= {*facts.values} else ():
            told = standing([flag, value], {}, number).status
            refused = refuses(acquired, variables, flag, value)
            assert told in {Status.REFUSED if refused else Status.OK, Status.OPEN}, (name, value)


def test_values_that_the_atlas_lists_are_taken(
    acquired: AcquiredBuild, number: int, variables: Mapping[str, str]
) -> None:
    for name, facts in ATLAS.table(number).items():
        flag = flag_of(facts)
        for value in facts.values if facts.works and name not in REFUSED_LATER else ():
            assert standing([flag, value], {}, number).status is Status.OK, (flag, value)
            assert not refuses(acquired, variables, flag, value), (flag, value)


def test_flags_of_other_builds_are_refused_as_the_atlas_says(
    acquired: AcquiredBuild, number: int, variables: Mapping[str, str]
) -> None:
    """Every spelling of every era that the build has not, or only as a stub."""
    tried = 0
    for flag in ATLAS.data.spellings:
        sighting = ATLAS.option(flag, number)
        if not sighting.certain:
            assert number not in ATLAS.data.late_snapshots, flag
        elif sighting.early is None or not sighting.early.works:
            tried += 1
            assert standing([flag], {}, number).status is Status.REFUSED
            assert refuses(acquired, variables, flag, "1"), flag
    assert tried > 50


def test_check_names_the_atlas_first_and_agrees_with_the_launches(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--build", "b8929", "--build", "b9246", "--", "-md", "draft.gguf", "--draft-max", "6"]
    assert main(["check", *words]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "refused from b8955 on (--draft-max, #22397): write --spec-draft-n-max 6" in lines[0]
    assert lines[1].startswith("ok    b8929")
    assert lines[2].startswith("FAIL  b9246")
    assert "b9246 has removed --draft-max (since b8955, #22397)" in lines[2]
    assert not any("an error of the harness" in line for line in lines)
    main(["check", "--json", *words])
    (line,) = json.loads(capsys.readouterr().out)["command_lines"]
    assert line["atlas"]["disagreements"] == []
    assert line["not_stored"] == []


def test_a_store_is_left_as_it_is_without_get(capsys: pytest.CaptureFixture[str]) -> None:
    builds = open_store().root / "builds"
    before = sorted(path.name for path in builds.iterdir())
    main(["check", "--", "-c", "512"])
    out = capsys.readouterr().out
    assert sorted(path.name for path in builds.iterdir()) == before
    for build in load_catalogue().profile("full"):
        assert build.id in out


SEED = 19
"""Chooses builds that nobody looked at when the atlas was made from the sources."""


STRETCHES = ("2025-09", "2025-11", "2026-01", "2026-03", "2026-06", "2026-08", "2026-11")


def chosen_at_random() -> Mapping[int, Offer]:
    """One build that packages offer of each stretch of time since September 2025."""
    offers = package_offers().builds
    unseen = {
        number: offer
        for number, offer in offers.items()
        if number in ATLAS and number not in ATLAS.data.late_snapshots
    }
    dice = random.Random(SEED)
    stretches = [
        [number for number, offer in unseen.items() if begin <= offer.date < end]
        for begin, end in pairwise(STRETCHES)
    ]
    return {number: unseen[number] for number in map(dice.choice, stretches)}


@pytest.mark.slow
def test_builds_that_nobody_looked_at_say_what_the_atlas_says(
    variables: Mapping[str, str], tmp_path: Path
) -> None:
    store = open_store(root=tmp_path)
    for number, offer in chosen_at_random().items():
        sources = (ReleaseAsset(tag=f"b{number}"), *offer.origins)
        acquired = store.acquire(Build(id=f"b{number}", number=number, sources=sources))
        found = unlike(number, probe(acquired.binary, {**variables, **acquired.env}), ATLAS)
        assert not found, "\n".join(found)
