"""Does each root of trust say what is wrong with the hardware beneath it?"""

import hmac
from itertools import count
from pathlib import Path

import pytest

from device.errors import Row
from device.errors.element import (
    DUPLICATE_KEY,
    WRONG_PIN,
    KeyNotConfinedError,
    Pkcs11UriError,
)
from device.errors.root_of_trust import (
    CREDENTIAL_EXPOSED,
    CREDENTIAL_MISSING,
    CREDENTIAL_SIZE,
    FIRMWARE_MAILBOX,
    HMAC_MISSING,
    OTHER_TPM,
    OTP_KEY,
    ROOT_KEY_MISSING,
    TPM,
    TPM_FULL,
    TPM_LOCKED,
    TPM_MISSING,
    TPM_OCCUPIED,
    TPM_OWNER,
    TPM_SUPPORT_MISSING,
    TpmError,
)
from device.errors.storage import (
    ROLLED_BACK,
    STORAGE_FAILURE,
    DataCorruptError,
    StorageExistsError,
)
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ObjectClass
from device.storage.filesystem import OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.roots import tss
from device.storage.roots.firmware_mailbox import FirmwareMailbox
from device.storage.roots.pkcs11_root import Pkcs11Root
from device.storage.roots.raspberry_pi_otp import RaspberryPiOtp
from device.storage.roots.root_of_trust import BLANK, Anchor, RootOfTrust
from device.storage.roots.systemd_credential import SystemdCredential
from device.storage.roots.tpm_root import TpmRoot
from device.storage.secure_storage import Uid
from tests.support.errors import raises
from tests.support.fake_firmware import FakeFirmware
from tests.support.fake_tpm import FakeTpm
from tests.support.roots import Hardware, RootBench

FIRST = Anchor(1, b"\1" * 32)
SECOND = Anchor(2, b"\2" * 32)


@pytest.fixture
def board(tmp_path: Path) -> Hardware:
    return Hardware(tmp_path / "board")


@pytest.fixture
def fuses(tmp_path: Path) -> OsFs:
    (tmp_path / "fuses").mkdir()
    return OsFs(tmp_path / "fuses")


# --- what holds for all ----------------------------------------------------------------


def test_a_new_process_derives_the_same_keys(root: RootBench, fuses: OsFs) -> None:
    burned = root.root(fuses)
    burned.burn()
    assert root.root(fuses).derive(b"a") == burned.derive(b"a") != burned.derive(b"b")


def test_burning_anew_gives_another_key(root: RootBench, fuses: OsFs) -> None:
    root.root(fuses).burn()
    before = root.root(fuses).derive(b"a")
    root.root(fuses).burn()
    assert root.root(fuses).derive(b"a") != before
    assert root.root(fuses).read_anchor() == BLANK


def test_a_finished_device_is_never_burned_again(root: RootBench, fuses: OsFs) -> None:
    made = root.root(fuses)
    made.burn()
    made.advance(Lifecycle.PSA_ROT_PROVISIONING)
    made.advance(Lifecycle.SECURED)
    before = made.derive(b"a")
    for begin in (made.burn, made.scrap):
        with pytest.raises(StorageExistsError, match="SECURED"):
            begin()
    assert root.root(fuses).derive(b"a") == before


def test_the_anchor_only_grows(root: RootBench, fuses: OsFs) -> None:
    made = root.root(fuses)
    made.burn()
    made.write_anchor(SECOND)
    for old in (FIRST, SECOND):
        with raises(STORAGE_FAILURE, match="can only grow"):
            made.write_anchor(old)
    assert root.root(fuses).read_anchor() == SECOND


def test_a_damaged_anchor_is_never_believed(root: RootBench, fuses: OsFs, tmp_path: Path) -> None:
    made = root.root(fuses)
    made.burn()
    made.write_anchor(FIRST)
    path = tmp_path / "fuses" / "anchor"
    whole = path.read_bytes()
    for place in range(0, len(whole) - 1, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        with pytest.raises(DataCorruptError, match="anchor"):
            made.read_anchor()


def test_erasing_leaves_no_file_and_can_be_done_twice(
    root: RootBench, fuses: OsFs, tmp_path: Path
) -> None:
    made = root.root(fuses)
    made.burn()
    made.write_anchor(FIRST)
    made.erase()
    made.erase()
    assert list((tmp_path / "fuses").iterdir()) == []
    assert made.lifecycle is Lifecycle.UNKNOWN


# --- a credential ------------------------------------------------------------------------


def credential(board: Hardware, fuses: OsFs) -> SystemdCredential:
    root = SystemdCredential(fuses, "root", board.environment)
    root.burn()
    return SystemdCredential(fuses, "root", board.environment)


def test_a_credential_that_is_not_handed_over(board: Hardware, fuses: OsFs) -> None:
    credential(board, fuses)
    with raises(CREDENTIAL_MISSING, match="CREDENTIALS_DIRECTORY is not set"):
        SystemdCredential(fuses, "root", {}).derive(b"a")
    with raises(CREDENTIAL_MISSING, match="other"):
        SystemdCredential(fuses, "other", board.environment).derive(b"a")


def test_a_credential_that_everybody_may_read(board: Hardware, fuses: OsFs) -> None:
    root = credential(board, fuses)
    (board.folder / "root").chmod(0o604)
    with raises(CREDENTIAL_EXPOSED):
        root.derive(b"a")


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_credential_that_is_no_key(board: Hardware, fuses: OsFs, size: int) -> None:
    root = credential(board, fuses)
    (board.folder / "root").write_bytes(bytes(size))
    with raises(CREDENTIAL_SIZE, match=f"{size} bytes"):
        root.derive(b"a")


def test_nothing_is_burned_without_the_credential(fuses: OsFs, tmp_path: Path) -> None:
    with raises(CREDENTIAL_MISSING):
        SystemdCredential(fuses, "root", {}).burn()
    assert list((tmp_path / "fuses").iterdir()) == []


# --- a TPM -------------------------------------------------------------------------------


def tpm_root(board: Hardware, fuses: OsFs) -> TpmRoot:
    root = TpmRoot(fuses, board.tpm)
    root.burn()
    root.write_anchor(FIRST)
    return TpmRoot(fuses, board.tpm)


def write_file_alone(root: TpmRoot, anchor: Anchor, board: Hardware) -> None:
    """Let the chip fail where the power could be cut: after the file, before the chain."""

    def refuse(call: str) -> None:
        if call == "extend":
            raise TpmError(response=0x101)

    board.tpm.before = refuse
    with pytest.raises(TpmError):
        root.write_anchor(anchor)
    board.tpm.before = lambda _: None


def test_another_tpm_does_not_unseal(board: Hardware, fuses: OsFs) -> None:
    tpm_root(board, fuses)
    with raises(OTHER_TPM):
        TpmRoot(fuses, FakeTpm(seed=b"another".ljust(32))).derive(b"a")


@pytest.mark.parametrize("place", [0, 20, -1])
def test_a_damaged_sealed_key_is_damage_and_not_another_tpm(
    board: Hardware, fuses: OsFs, tmp_path: Path, place: int
) -> None:
    root = tpm_root(board, fuses)
    content = bytearray((tmp_path / "fuses" / "sealed").read_bytes())
    content[place] ^= 1
    (tmp_path / "fuses" / "sealed").write_bytes(content)
    with pytest.raises(DataCorruptError, match="sealed"):
        root.derive(b"a")


def test_an_anchor_that_was_put_back_is_refused(
    board: Hardware, fuses: OsFs, tmp_path: Path
) -> None:
    root = tpm_root(board, fuses)
    path = tmp_path / "fuses" / "anchor"
    old = path.read_bytes()
    root.write_anchor(SECOND)
    path.write_bytes(old)
    for use in (root.read_anchor, root.recover, lambda: root.write_anchor(Anchor(3, bytes(32)))):
        with raises(ROLLED_BACK, match="older copy"):
            use()


def test_of_two_anchors_for_one_generation_the_chip_knows_one(
    board: Hardware, fuses: OsFs, tmp_path: Path
) -> None:
    """A copy from between the file and the chip is no second future."""
    root = tpm_root(board, fuses)
    path = tmp_path / "fuses" / "anchor"
    old = path.read_bytes()
    write_file_alone(root, SECOND, board)
    pending = path.read_bytes()
    assert TpmRoot(fuses, board.tpm).read_anchor() == SECOND

    path.write_bytes(old)
    root.write_anchor(Anchor(2, b"\3" * 32))
    path.write_bytes(pending)

    with raises(ROLLED_BACK):
        TpmRoot(fuses, board.tpm).read_anchor()


def test_a_cut_before_the_chip_is_settled_and_what_came_before_is_refused(
    board: Hardware, fuses: OsFs, tmp_path: Path
) -> None:
    tpm_root(board, fuses)
    path = tmp_path / "fuses" / "anchor"
    old = path.read_bytes()
    write_file_alone(TpmRoot(fuses, board.tpm), SECOND, board)

    TpmRoot(fuses, board.tpm).recover()

    assert TpmRoot(fuses, board.tpm).read_anchor() == SECOND
    path.write_bytes(old)
    with raises(ROLLED_BACK):
        TpmRoot(fuses, board.tpm).read_anchor()


def test_a_chain_that_was_removed_from_the_tpm(board: Hardware, fuses: OsFs) -> None:
    root = tpm_root(board, fuses)
    for name in list(board.tpm.memory.held()):
        board.tpm.memory.change(name, None)
    with raises(ROLLED_BACK, match="no longer holds"):
        root.read_anchor()


class FailingAt:
    """Lets one call to a chip fail, before it has an effect."""

    def __init__(self, call: int) -> None:
        self.calls = 0
        self._call = call

    def __call__(self, name: str) -> None:
        self.calls += 1
        if self.calls == self._call:
            raise TpmError(response=0x101)


def test_a_chip_that_fails_anywhere_in_a_commit_loses_nothing(
    board: Hardware, tmp_path: Path
) -> None:
    bench = RootBench.of("tpm", board)
    state = bench.make_device(tmp_path / "device")
    held, failures = b"", 0
    for call in count(1):
        board.tpm.before = chip = FailingAt(call)
        value = str(call).encode()
        allowed = {held, value}
        try:
            with bench.open(state) as storage:
                storage.ps.set(Uid.ENDPOINT, value)
            allowed = {value}
        except TpmError:
            failures += 1
        board.tpm.before = lambda _: None
        with bench.open(state) as storage:
            held = storage.ps.get(Uid.ENDPOINT) if Uid.ENDPOINT in storage.ps.uids() else b""
        assert held in allowed
        if chip.calls < call:
            break
    assert failures > 3


def test_decommissioning_takes_the_chain_from_the_tpm(board: Hardware, fuses: OsFs) -> None:
    root = tpm_root(board, fuses)
    root.advance(Lifecycle.PSA_ROT_PROVISIONING)
    root.advance(Lifecycle.SECURED)
    root.advance(Lifecycle.DECOMMISSIONED)
    assert board.tpm.memory.held() == {}


@pytest.mark.parametrize(
    ("code", "row"),
    [
        (0x000A000A, TPM_MISSING),  # the TCTI's input/output error
        (0x0000014B, TPM_FULL),
        (0x00000902, TPM_OCCUPIED),
        (0x00000905, TPM_OCCUPIED),
        (0x00000921, TPM_LOCKED),
        (0x000009A2, TPM_OWNER),  # session 1
        (0x000001DF, OTHER_TPM),  # parameter 1
        (0x000B01DF, OTHER_TPM),  # as a resource manager passes it on
        (0x00000101, TPM),
    ],
)
def test_each_response_of_a_tpm_has_its_error(code: int, row: Row) -> None:
    found = tss.explained(code, "device:/dev/tpmrm0")
    assert found.row is row
    assert f"{code:#x}" in str(found)


def test_a_machine_without_the_library_for_tpms() -> None:
    with raises(TPM_SUPPORT_MISSING, match="libnothing"):
        tss.load_libraries(["libnothing.so.0"])


# --- a PKCS #11 token ------------------------------------------------------------------


def token_root(board: Hardware, fuses: OsFs) -> Pkcs11Root:
    return Pkcs11Root(fuses, board.uri, lambda _: board.module)


def test_the_key_is_made_in_the_token_once(board: Hardware, fuses: OsFs) -> None:
    for _ in range(2):
        token_root(board, fuses).burn()
    assert board.module.labels(ObjectClass.SECRET_KEY) == ["firstboot-root"]
    assert board.module.calls["C_GenerateKey"] == 1


def test_a_token_without_hmac(board: Hardware, fuses: OsFs) -> None:
    del board.module.mechanisms[Mechanism.SHA256_HMAC]
    with raises(HMAC_MISSING, match="dev"):
        token_root(board, fuses).burn()


def test_a_token_that_does_not_vouch_for_the_key_keeps_none(board: Hardware, fuses: OsFs) -> None:
    board.module.vouches[Attribute.NEVER_EXTRACTABLE] = b"\0"
    with pytest.raises(KeyNotConfinedError, match="never-extractable"):
        token_root(board, fuses).burn()
    assert board.module.labels(ObjectClass.SECRET_KEY) == []


def test_a_token_that_lost_the_key(board: Hardware, fuses: OsFs) -> None:
    token_root(board, fuses).burn()
    board.module.objects.clear()
    with raises(ROOT_KEY_MISSING, match="firstboot-root"):
        token_root(board, fuses).derive(b"a")


def test_two_keys_of_one_label(board: Hardware, fuses: OsFs) -> None:
    token_root(board, fuses).burn()
    board.module.objects[99] = dict(next(iter(board.module.objects.values())))
    with raises(DUPLICATE_KEY, match="2 keys"):
        token_root(board, fuses).derive(b"a")


def test_a_wrong_pin_is_never_tried_twice(board: Hardware, fuses: OsFs, tmp_path: Path) -> None:
    token_root(board, fuses).burn()
    board.module.lose_sessions()
    (board.folder / "pin").write_text("9999")
    tried = board.module.calls["C_Login"]
    for _ in range(3):
        with raises(WRONG_PIN):
            token_root(board, fuses).derive(b"a")
    assert board.module.calls["C_Login"] == tried + 1
    assert not any(b"9999" in path.read_bytes() for path in (tmp_path / "fuses").iterdir())

    (board.folder / "pin").write_text("1234")
    assert token_root(board, fuses).derive(b"a")
    assert not (tmp_path / "fuses" / "refused-pins").exists()


def test_a_uri_without_a_module(board: Hardware, fuses: OsFs) -> None:
    with pytest.raises(Pkcs11UriError, match="module-path"):
        Pkcs11Root(fuses, "pkcs11:token=dev").burn()


# --- the OTP of a Raspberry Pi ---------------------------------------------------------


def test_the_firmware_computes_the_root_key(board: Hardware, fuses: OsFs) -> None:
    root: RootOfTrust = RaspberryPiOtp(fuses, board.firmware, 1)
    root.burn()
    assert root.derive(b"a")
    (asked,) = {message for message in board.firmware.messages if b"root key" in message}
    assert asked.startswith(b"firstboot v1 root key\0raspberry-pi-otp\0")
    assert hmac.digest(b"o" * 32, asked, "sha256") not in (fuses.read("huk") or b"")


@pytest.mark.parametrize(
    ("firmware", "says"),
    [
        (FakeFirmware({}), "KEY_NOT_FOUND"),
        (FakeFirmware({1: bytes(32)}), "KEY_NOT_SET"),
    ],
)
def test_a_key_that_was_not_burned(fuses: OsFs, firmware: FakeFirmware, says: str) -> None:
    with raises(OTP_KEY, match=says):
        RaspberryPiOtp(fuses, firmware, 1).burn()


def test_a_key_that_is_locked_until_the_next_start(board: Hardware, fuses: OsFs) -> None:
    RaspberryPiOtp(fuses, board.firmware, 1).burn()
    board.firmware.locked.add(1)
    with raises(OTP_KEY, match="KEY_LOCKED"):
        RaspberryPiOtp(fuses, board.firmware, 1).derive(b"a")


def test_a_firmware_without_crypto(board: Hardware, fuses: OsFs) -> None:
    board.firmware.knows_crypto = False
    with raises(FIRMWARE_MAILBOX, match="0x30092"):
        RaspberryPiOtp(fuses, board.firmware, 1).burn()


def test_a_machine_without_the_mailbox(fuses: OsFs) -> None:
    with raises(FIRMWARE_MAILBOX, match="/dev/vcio"):
        RaspberryPiOtp(fuses, FirmwareMailbox(), 1).burn()
