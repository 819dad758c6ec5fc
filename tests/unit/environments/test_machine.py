from pathlib import Path

import pytest

from harness.environments.machine import (
    DEFAULT_PROFILE,
    SpoofedMachine,
    decode_profile,
    encode_profile,
    load_profile,
    shipped_profiles,
)
from harness.environments.spoof import varied_machine
from harness.environments.variants import Variant
from harness.errors import UsageError


def test_ships_the_cards_that_matter() -> None:
    assert shipped_profiles() == ("a100-80gb", "h100-80gb", "rtx-3060-laptop", "rtx-4090")
    assert DEFAULT_PROFILE in shipped_profiles()


@pytest.mark.parametrize("name", shipped_profiles())
def test_writes_what_it_reads(name: str) -> None:
    machine = load_profile(name)
    assert decode_profile(encode_profile(machine), origin="again") == machine


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(encode_profile(load_profile("h100-80gb")), encoding="utf-8")
    assert load_profile(str(path)).cards[0].name == "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("memory_total_mib = 24564", 'memory_total_mib = "24"', "memory_total_mib"),
        ("memory_total_mib = 24564", "memory_total_mib = 10", "exceed memory_total_mib"),
        ("ecc = false", "color = 1", "color"),
        ('compute_capability = "8.9"', 'compute_capability = "8"', "compute_capability '8'"),
        ("[[gpu]]", "[[card]]", "card"),
    ],
)
def test_names_the_wrong_field(old: str, new: str, says: str) -> None:
    text = encode_profile(load_profile())
    assert old in text
    with pytest.raises(UsageError, match=f"GPU profile my-file: .*{says}"):
        decode_profile(text.replace(old, new), origin="my-file")


def test_two_cards_may_not_share_a_uuid(two_cards: SpoofedMachine) -> None:
    text = encode_profile(two_cards).replace(two_cards.cards[1].uuid, two_cards.cards[0].uuid)
    with pytest.raises(UsageError, match=r"gpu 1: uuid GPU-.* is that of gpu 0 already"):
        decode_profile(text, origin="x")


def test_an_unknown_profile_lists_those_there_are() -> None:
    with pytest.raises(UsageError, match=r"no GPU profile is named 'gtx'; shipped are .*rtx-4090"):
        load_profile("gtx")
    with pytest.raises(UsageError, match=r"gone\.toml cannot be read"):
        load_profile("gone.toml")


def test_variants_change_the_cards() -> None:
    machine = load_profile()
    full = varied_machine(machine, frozenset({Variant.ZERO_MEMORY}))
    assert full.cards[0].memory_free_mib == 0
    assert full.cards[0].memory_total_mib == machine.cards[0].memory_total_mib
    first, second = varied_machine(machine, frozenset({Variant.TWO_GPUS})).cards
    assert first == machine.cards[0]
    assert (second.name, second.memory_total_mib) == (first.name, first.memory_total_mib)
    assert second.uuid != first.uuid
    assert second.pci_bus_id != first.pci_bus_id
