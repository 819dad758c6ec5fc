"""Joining sets of environment variables."""

import os

from harness.processes.variables import joined


def test_a_list_of_directories_is_joined_added_first() -> None:
    both = joined({"LD_LIBRARY_PATH": "spoof"}, {"LD_LIBRARY_PATH": "build"})
    assert both == {"LD_LIBRARY_PATH": f"build{os.pathsep}spoof"}


def test_any_other_variable_is_replaced() -> None:
    assert joined({"HOME": "a", "X": "1"}, {"HOME": "b"}) == {"HOME": "b", "X": "1"}


def test_an_empty_list_leaves_no_empty_entry() -> None:
    assert joined({"PATH": ""}, {"PATH": "bin"}) == {"PATH": "bin"}
