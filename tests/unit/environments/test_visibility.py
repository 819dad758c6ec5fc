import pytest

from harness.environments.visibility import visible_indices

UUIDS = ("GPU-aa11-00", "GPU-aa22-00", "GPU-bb33-00")


@pytest.mark.parametrize(
    ("value", "visible"),
    [
        (None, (0, 1, 2)),
        ("", ()),
        ("0", (0,)),
        ("2,0", (2, 0)),
        ("0,", (0,)),
        (",0", ()),
        ("-1", ()),
        ("-0", (0,)),
        ("1,-1,0", (1,)),
        ("0,3,1", (0,)),
        ("0,none,1", (0,)),
        ("1gpu,2", (1, 2)),
        (" 1 , 2", (1, 2)),
        ("+1", (1,)),
        ("01", (1,)),
        ("0,1,0", ()),
        ("none", ()),
        ("GPU-bb33-00", (2,)),
        ("GPU-bb", (2,)),
        ("GPU-bb,GPU-aa1", (2, 0)),
        ("GPU-aa", ()),
        ("GPU-bb,GPU-aa,GPU-aa1", (2,)),
        ("GPU-bb,GPU-bb3", ()),
        ("GPU-bb,0", (2,)),
        ("0,GPU-bb", (0,)),
        ("GPU-", ()),
        ("MIG-bb", ()),
    ],
)
def test_reads_the_variable_as_the_driver_does(value: str | None, visible: tuple[int, ...]) -> None:
    assert visible_indices(value, UUIDS) == visible
