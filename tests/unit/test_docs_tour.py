"""The tour names files that exist, shows the first boot as it is, and answers ten questions."""

import re
from pathlib import Path

import pytest

from device.provisioning.claim_states import State
from scripts._tour import with_tour

ROOT = Path(__file__).parents[2]
TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
CHANGES = (
    "a method", "an element profile", "a gap", "telemetry", "ALPN", "the back-off",
    "an exit code", "a message", "a shadow", "a renewal rule",
)  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_it_says_where_to_change(change: str) -> None:
    row = next(line for line in TOUR.splitlines() if line.startswith(f"| {change}"))
    assert "](../" in row


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+(?:\.py)?)`", TOUR)))
)
def test_every_path_in_it_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_first_boot_ends_provisioned() -> None:
    table = TOUR.partition("<!-- first boot: by")[2].partition("<!-- first boot: end")[0]
    assert f"| {State.PROVISIONED.value} |" in table.splitlines()[-2]


def test_a_wrong_length_is_seen() -> None:
    wrong = re.sub(r"(cli\.py\) \|) \d+ \|", r"\1 1 |", TOUR)
    assert with_tour(wrong) == TOUR != wrong


def test_it_is_one_page() -> None:
    assert len(TOUR.splitlines()) < 100
