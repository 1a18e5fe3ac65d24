"""Does each root of trust stop what it says it stops, and nothing more?

An attack ends with a state folder on some board. The device must open there exactly if its root
of trust does not claim to protect against that attack: claims too small are found as well.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from device.errors.root_of_trust import CREDENTIAL_MISSING, OTHER_TPM, ROOT_KEY_MISSING
from device.errors.storage import ROLLED_BACK, WRONG_DEVICE, StorageError
from device.storage.roots.root_of_trust import SEALED, Threat
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.fake_firmware import FakeFirmware
from tests.support.fake_tpm import FakeTpm
from tests.support.roots import PLANS, Hardware, RootBench

DOCUMENT = Path(__file__).parents[2] / "docs" / "roots-of-trust.md"
REFUSALS = (
    CREDENTIAL_MISSING,
    OTHER_TPM,
    ROLLED_BACK,
    ROOT_KEY_MISSING,
    WRONG_DEVICE,
)
Scene = tuple[Path, Hardware]
"""A state folder, and the board that it is on after an attack."""


def is_refused(bench: RootBench, state: Path) -> bool:
    try:
        with bench.open(state) as storage:
            return storage.its.get(Uid.SERIAL_NUMBER) != b"SN-1"
    except StorageError as error:
        assert error.row in REFUSALS  # noqa: PT017 - or it opens
        return True


def write(bench: RootBench, state: Path) -> None:
    with bench.open(state) as storage:
        storage.ps.set(Uid.DEVICE_CONFIGURATION, b"newer")


def another_board(folder: Path) -> Hardware:
    """Of the same make; what is no key is as on the first."""
    return Hardware(
        folder / "another",
        credential=b"another".ljust(32),
        tpm=FakeTpm(seed=b"another".ljust(32)),
        firmware=FakeFirmware({1: b"another".ljust(32)}),
    )


def stolen_storage(kind: str, board: Hardware, state: Path) -> Scene:
    """Someone takes the sealed images, and burns fuses of his own beside them."""
    other = another_board(state.parent)
    thief = RootBench.of(kind, other).make_device(state.parent / "thief")
    shutil.copytree(state / "storage", thief / "storage", dirs_exist_ok=True)
    return thief, other


def moved_storage(kind: str, board: Hardware, state: Path) -> Scene:
    """The images of one device, beside the fuses of another on the same board."""
    second = RootBench.of(kind, board).make_device(state.parent / "second")
    shutil.copytree(state / "storage", second / "storage", dirs_exist_ok=True)
    return second, board


def old_images(kind: str, board: Hardware, state: Path) -> Scene:
    shutil.copytree(state / "storage", state.parent / "copy")
    write(RootBench.of(kind, board), state)
    shutil.copytree(state.parent / "copy", state / "storage", dirs_exist_ok=True)
    return state, board


def stolen_state(kind: str, board: Hardware, state: Path) -> Scene:
    return state, another_board(state.parent)


def cloned_disk(kind: str, board: Hardware, state: Path) -> Scene:
    """What is on the disk goes along: systemd's host key, and SoftHSM's tokens."""
    other = another_board(state.parent)
    return state, replace(other, credential=board.credential, module=board.module)


def old_disk(kind: str, board: Hardware, state: Path) -> Scene:
    shutil.copytree(state, state.parent / "copy")
    write(RootBench.of(kind, board), state)
    return state.parent / "copy", board


ATTACKS: dict[Threat, Callable[[str, Hardware, Path], Scene]] = {
    Threat.STOLEN_STORAGE: stolen_storage,
    Threat.MOVED_STORAGE: moved_storage,
    Threat.OLD_IMAGES: old_images,
    Threat.STOLEN_STATE: stolen_state,
    Threat.CLONED_DISK: cloned_disk,
    Threat.OLD_DISK: old_disk,
}


@pytest.mark.parametrize("kind", PLANS)
@pytest.mark.parametrize("threat", ATTACKS)
def test_an_attack_is_refused_exactly_if_the_root_claims_it(
    threat: Threat, kind: str, tmp_path: Path
) -> None:
    board = Hardware(tmp_path / "board")
    state = RootBench.of(kind, board).make_device(tmp_path / "device")
    with RootBench.of(kind, board).open(state) as storage:
        claims = storage.root_of_trust.strength.protects_against

    place, other = ATTACKS[threat](kind, board, state)

    assert is_refused(RootBench.of(kind, other), place) == (threat in claims)


def claims_in_the_document() -> dict[str, list[Threat]]:
    """Read docs/roots-of-trust.md: what is refused, by kind."""
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.*) \|$", DOCUMENT.read_text(), re.MULTILINE)
    return {
        kind: [
            threat
            for threat, cell in zip(Threat, cells.split(" | "), strict=True)
            if cell == "refused"
        ]
        for kind, cells in rows
    }


def test_the_document_claims_what_the_roots_claim(root: RootBench, tmp_path: Path) -> None:
    with root.create(tmp_path / "device") as storage:
        claims = storage.root_of_trust.strength.protects_against
    assert claims_in_the_document()[root.plan.kind] == list(claims)


def test_nobody_claims_to_stop_the_root_user(root: RootBench, tmp_path: Path) -> None:
    with root.create(tmp_path / "device") as storage:
        strength = storage.root_of_trust.strength
        assert Threat.ROOT_USER in strength.no_protection_against
        assert set(SEALED) <= set(strength.protects_against)
        assert {*strength.protects_against, *strength.no_protection_against} == set(Threat)


def test_an_entry_reports_replay_protection_exactly_if_an_old_disk_is_refused(
    root: RootBench, tmp_path: Path
) -> None:
    state = root.make_device(tmp_path / "device")
    with root.open(state) as storage:
        flags = storage.its.get_info(Uid.SERIAL_NUMBER).flags
        refuses_old_disks = Threat.OLD_DISK in storage.root_of_trust.strength.protects_against
    assert (StorageFlag.NO_REPLAY_PROTECTION not in flags) == refuses_old_disks


def test_two_devices_on_one_board_have_different_keys(root: RootBench, tmp_path: Path) -> None:
    keys = []
    for name in ("one", "two"):
        with root.create(tmp_path / name) as storage:
            keys.append(storage.root_of_trust.derive(b"label"))
    assert keys[0] != keys[1]
