"""scripts/pythons: which of the Pythons that a machine has are tested."""

from pathlib import Path

from scripts._pythons import newest_of_each


def test_the_newest_patch_of_each_from_3_11_is_tested_the_oldest_first() -> None:
    found = [
        ((3, 13, 0), Path("/d")), ((3, 11, 2), Path("/a")), ((3, 11, 7), Path("/b")),
        ((3, 10, 9), Path("/c")), ((2, 7, 18), Path("/e")),
    ]  # fmt: skip
    tested = newest_of_each(found)
    assert list(tested.items()) == [((3, 11, 7), Path("/b")), ((3, 13, 0), Path("/d"))]
