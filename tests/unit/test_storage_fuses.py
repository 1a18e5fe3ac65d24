"""Do the simulated fuses burn once, only grow, and end with the device?"""

import stat
from contextlib import suppress
from pathlib import Path

import pytest

from device.errors.storage import (
    DECOMMISSIONED,
    STORAGE_FAILURE,
    DataCorruptError,
    LifecycleError,
    StorageError,
    StorageExistsError,
)
from device.storage.filesystem import OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.roots.file_fuses import FileFuses
from device.storage.roots.root_of_trust import BLANK, Anchor
from tests.support.crash_states import crash_states
from tests.support.errors import raises
from tests.support.recording_fs import Fault, RecordingDisk

FOLDER = Path("fuses")


@pytest.fixture
def fuses(tmp_path: Path) -> FileFuses:
    fuses = FileFuses(OsFs(tmp_path))
    fuses.burn()
    return fuses


def secured(fuses: FileFuses) -> FileFuses:
    fuses.advance(Lifecycle.PSA_ROT_PROVISIONING)
    fuses.advance(Lifecycle.SECURED)
    return fuses


def test_blank_fuses_have_an_unknown_lifecycle_and_a_blank_anchor(tmp_path: Path) -> None:
    fuses = FileFuses(OsFs(tmp_path))
    assert fuses.lifecycle is Lifecycle.UNKNOWN
    assert fuses.read_anchor() == BLANK


def test_burned_fuses_start_in_assembly(fuses: FileFuses) -> None:
    assert fuses.lifecycle is Lifecycle.ASSEMBLY_AND_TEST


def test_burned_fuses_outlive_a_power_cut() -> None:
    disk = RecordingDisk()
    FileFuses(disk.mount(FOLDER)).burn()
    disk.acknowledge("burned")
    for crash in crash_states(disk, first_cut=len(disk.operations)):
        assert FileFuses(RecordingDisk(crash.disk).mount(FOLDER)).derive(b"label")


def test_only_the_owner_may_read_the_root_key_and_nobody_write_it(
    fuses: FileFuses, tmp_path: Path
) -> None:
    assert stat.S_IMODE((tmp_path / "huk").stat().st_mode) == 0o400
    assert len((tmp_path / "huk").read_bytes()) == 32


def test_an_unfinished_device_is_burned_anew_with_another_key(fuses: FileFuses) -> None:
    before = fuses.derive(b"label")
    fuses.advance(Lifecycle.PSA_ROT_PROVISIONING)
    fuses.write_anchor(Anchor(9, bytes(32)))
    fuses.burn()
    assert fuses.derive(b"label") != before
    assert fuses.read_anchor() == BLANK
    assert fuses.lifecycle is Lifecycle.ASSEMBLY_AND_TEST


def test_a_finished_device_is_never_burned_again(fuses: FileFuses) -> None:
    before = secured(fuses).derive(b"label")
    with pytest.raises(StorageExistsError, match="SECURED"):
        fuses.burn()
    assert fuses.derive(b"label") == before


def test_derived_keys_differ_by_label_and_by_device(fuses: FileFuses, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = FileFuses(OsFs(tmp_path / "other"))
    other.burn()
    keys = [fuses.derive(b"a"), fuses.derive(b"b"), other.derive(b"a")]
    assert len(set(keys)) == 3
    assert fuses.derive(b"a") == keys[0]
    assert len(fuses.derive(b"a", 16)) == 16


def test_derivation_is_hkdf_of_rfc_5869() -> None:
    # openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt hexkey:00...00 -kdfopt info:info HKDF
    fuses = FileFuses(
        RecordingDisk({"fuses": {"huk": bytes(32), "lifecycle": b"SECURED\n"}}).mount(FOLDER)
    )
    expected = "1060e4e72054653bf46623844033f5ccc9cff596a4a680e074ef4fd06aae60df"
    assert fuses.derive(b"info").hex() == expected


def test_the_anchor_reads_back(fuses: FileFuses) -> None:
    anchor = Anchor(1, b"\x01" * 32)
    fuses.write_anchor(anchor)
    assert fuses.read_anchor() == anchor


@pytest.mark.parametrize("generation", [4, 5])
def test_the_anchor_only_grows(fuses: FileFuses, generation: int) -> None:
    fuses.write_anchor(Anchor(5, b"\x01" * 32))
    with raises(STORAGE_FAILURE, match="can only grow"):
        fuses.write_anchor(Anchor(generation, b"\x02" * 32))
    assert fuses.read_anchor() == Anchor(5, b"\x01" * 32)


@pytest.mark.parametrize("byte", range(0, 75, 5))
def test_a_damaged_anchor_is_never_believed(fuses: FileFuses, tmp_path: Path, byte: int) -> None:
    fuses.write_anchor(Anchor(3, bytes(range(32))))
    content = bytearray((tmp_path / "anchor").read_bytes())
    content[byte] ^= 0x01
    (tmp_path / "anchor").write_bytes(content)
    with pytest.raises(DataCorruptError, match="anchor"):
        fuses.read_anchor()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"3 00 xyz", b"x" * 80])
def test_garbage_is_no_anchor(fuses: FileFuses, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "anchor").write_bytes(content)
    with pytest.raises(DataCorruptError, match="anchor"):
        fuses.read_anchor()


@pytest.mark.parametrize("content", [b"", b"HALF-BAKED\n", b"\xff\xfe"])
def test_garbage_is_no_lifecycle(fuses: FileFuses, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lifecycle").write_bytes(content)
    with pytest.raises(DataCorruptError, match="lifecycle"):
        _ = fuses.lifecycle


def test_a_root_key_without_a_lifecycle_is_damage_and_not_a_blank(
    fuses: FileFuses, tmp_path: Path
) -> None:
    (tmp_path / "lifecycle").unlink()
    with pytest.raises(DataCorruptError, match="lifecycle is missing"):
        fuses.burn()


@pytest.mark.parametrize("content", [None, b"", bytes(31)])
def test_a_damaged_root_key_derives_nothing(
    fuses: FileFuses, tmp_path: Path, content: bytes | None
) -> None:
    (tmp_path / "huk").unlink()
    if content is not None:
        OsFs(tmp_path).create("huk", content)
    with pytest.raises(DataCorruptError, match="huk"):
        fuses.derive(b"label")


def test_an_illegal_step_changes_nothing(fuses: FileFuses) -> None:
    with pytest.raises(LifecycleError):
        fuses.advance(Lifecycle.SECURED)
    assert fuses.lifecycle is Lifecycle.ASSEMBLY_AND_TEST


def test_storage_keys_are_away_while_the_root_of_trust_is_debugged(fuses: FileFuses) -> None:
    key = secured(fuses).derive(b"label")
    fuses.advance(Lifecycle.RECOVERABLE_PSA_ROT_DEBUG)
    with pytest.raises(LifecycleError, match="RECOVERABLE_PSA_ROT_DEBUG"):
        fuses.derive(b"label")
    fuses.advance(Lifecycle.SECURED)
    assert fuses.derive(b"label") == key


def test_decommissioning_destroys_the_root_key(fuses: FileFuses, tmp_path: Path) -> None:
    root_key = (tmp_path / "huk").read_bytes()
    secured(fuses).advance(Lifecycle.DECOMMISSIONED)
    with raises(DECOMMISSIONED):
        fuses.derive(b"label")
    assert not any(root_key in path.read_bytes() for path in tmp_path.iterdir())


@pytest.mark.parametrize("fault", Fault)
@pytest.mark.parametrize("call", range(16))
def test_a_disk_fault_never_leaves_a_decommissioned_device_with_a_key(
    fault: Fault, call: int
) -> None:
    disk = RecordingDisk({"fuses": {"huk": bytes(32), "lifecycle": b"SECURED\n"}})
    fuses = FileFuses(disk.mount(FOLDER))
    disk.faults = {call: fault}
    with suppress(StorageError):
        fuses.advance(Lifecycle.DECOMMISSIONED)
    disk.faults.clear()
    decommissioned = fuses.lifecycle is Lifecycle.DECOMMISSIONED
    assert decommissioned == (bytes(32) not in disk.content()["fuses"].values())
