"""Who takes what from a device, and what each root of trust makes of it: one cell, one test.

An attacker ends with a state folder on some board, as in `tests.unit.test_root_attacks`. *Stopped*
is a device that does not open; *detected* one that opens and says so in its log; *neither* one
that opens as if nothing had been; an attack that changes files is *without effect* where the device
still holds what it held last. docs/cannot-be-bricked.md has the table.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from device.errors import FirstbootError
from device.storage.secure_storage import Uid
from tests.support.roots import PLANS, Hardware, RootBench
from tests.unit.test_root_attacks import (
    Scene,
    another_board,
    cloned_disk,
    moved_storage,
    old_disk,
    old_images,
    stolen_state,
    stolen_storage,
    write,
)

PAGE: Final = Path(__file__).parents[2] / "docs" / "cannot-be-bricked.md"


def older_image(kind: str, board: Hardware, state: Path) -> Scene:
    """One of the two copies is put back from before."""
    before = (state / "storage" / "image-a").read_bytes()
    write(RootBench.of(kind, board), state)
    (state / "storage" / "image-a").write_bytes(before)
    return state, board


def older_anchor(kind: str, board: Hardware, state: Path) -> Scene:
    """The fuses' folder is put back from before, beside today's images."""
    shutil.copytree(state / "fuses", state.parent / "copy")
    write(RootBench.of(kind, board), state)
    shutil.rmtree(state / "fuses")
    shutil.copytree(state.parent / "copy", state / "fuses")
    return state, board


def swapped_copies(kind: str, board: Hardware, state: Path) -> Scene:
    """The two copies of the image change places; they are the same, so nothing is lost."""
    write(RootBench.of(kind, board), state)
    first, second = state / "storage" / "image-a", state / "storage" / "image-b"
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)
    return state, board


def others_fuses(kind: str, board: Hardware, state: Path) -> Scene:
    """The fuses' folder of another device on the same board is put beside these images."""
    second = RootBench.of(kind, board).make_device(state.parent / "second")
    shutil.rmtree(state / "fuses")
    shutil.copytree(second / "fuses", state / "fuses")
    return state, board


def root_user(kind: str, board: Hardware, state: Path) -> Scene:
    """Someone is root where the device runs, and opens what the device opens."""
    return state, board


def stolen_element(kind: str, board: Hardware, state: Path) -> Scene:
    """The chip or token is taken to another board together with the folder, without the PIN."""
    other = another_board(state.parent)
    (other.folder / "pin").write_text("0000")
    other = replace(other, module=board.module, tpm=board.tpm)
    (other.folder / "pin").write_text("0000")
    (board.folder / "pin").unlink()
    return state, other


def stolen_pin(kind: str, board: Hardware, state: Path) -> Scene:
    """The PIN file and the folder are copied to another board, without the chip or token."""
    return state, another_board(state.parent)


ATTACKERS: Final[dict[str, Callable[[str, Hardware, Path], Scene]]] = {
    "stolen images, own fuses": stolen_storage,
    "stolen state folder": stolen_state,
    "cloned card": cloned_disk,
    "older copies of the images": old_images,
    "an older copy of one image": older_image,
    "an older disk, whole": old_disk,
    "an older anchor": older_anchor,
    "images of another device": moved_storage,
    "another device's fuses": others_fuses,
    "the two images swapped": swapped_copies,
    "stolen chip or token, no PIN": stolen_element,
    "stolen PIN file, no chip or token": stolen_pin,
    "root on the machine": root_user,
}
KINDS: Final = tuple(PLANS)


def verdict(attacker: str, kind: str, folder: Path, log: pytest.LogCaptureFixture) -> str:
    board = Hardware(folder / "board")
    state = RootBench.of(kind, board).make_device(folder / "device")
    place, other = ATTACKERS[attacker](kind, board, state)
    log.clear()
    try:
        with RootBench.of(kind, other).open(place) as storage:
            if storage.its.get(Uid.SERIAL_NUMBER) != b"SN-1":
                return "stopped"
            if Uid.DEVICE_CONFIGURATION in storage.ps.uids():  # written after the copy was taken
                return "without effect"
    except FirstbootError:
        return "stopped"
    return "detected" if log.records else "neither"


def rows_of_the_page() -> dict[str, list[str]]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return {row[0]: row[1:] for row in cells if row[0] in ATTACKERS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_cell_of_the_page_is_what_happens(
    attacker: str, kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    said = rows_of_the_page()[attacker][KINDS.index(kind)].split(" (")[0]
    assert verdict(attacker, kind, tmp_path, caplog) == said


def test_the_page_has_the_columns_of_the_test() -> None:
    head = "| attacker | " + " | ".join(f"`{kind}`" for kind in KINDS) + " |"
    assert head in PAGE.read_text(encoding="utf-8")
