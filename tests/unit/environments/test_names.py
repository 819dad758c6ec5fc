import pytest

from harness.environments.names import EnvironmentSpec, parse_environment
from harness.environments.variants import Variant
from harness.errors import UsageError


def test_reads_every_kind() -> None:
    assert parse_environment("cpu") == EnvironmentSpec(kind="cpu")
    assert parse_environment("cuda") == EnvironmentSpec(kind="cuda")
    assert parse_environment("cuda-spoof") == EnvironmentSpec(kind="cuda-spoof")


def test_a_variant_joins_profiles_and_failures() -> None:
    spec = parse_environment("cuda-spoof:two-gpus+h100-80gb+zero-memory")
    assert spec.profile == "h100-80gb"
    assert spec.variants == {Variant.TWO_GPUS, Variant.ZERO_MEMORY}


@pytest.mark.parametrize("name", ["", "gpu", "cpu:hang", "cuda:x", "cuda-spoof:", "cuda-spoof:no"])
def test_an_unknown_name_lists_those_there_are(name: str) -> None:
    with pytest.raises(UsageError, match=r"cpu, cuda, cuda-spoof .*hang.*rtx-4090"):
        parse_environment(name)


def test_a_profile_may_be_a_file() -> None:
    spec = parse_environment("cuda-spoof:some/where/mine.toml+two-gpus")
    assert spec.profile == "some/where/mine.toml"
    assert spec.variants == {Variant.TWO_GPUS}
