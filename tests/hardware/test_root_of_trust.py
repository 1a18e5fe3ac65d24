"""Roots of trust on real software: a TPM 2.0 (swtpm), and a token with an HMAC key (SoftHSM)."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from device.errors import ExitCode
from device.errors.root_of_trust import HMAC_MISSING, OTHER_TPM, TPM_OCCUPIED
from device.errors.storage import ROLLED_BACK, StorageError
from device.lifecycle.status import read_status
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.filesystem import Fs, OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.roots.root_plan import FILE, Pkcs11Plan, RootMaker, RootPlan, TpmPlan
from device.storage.roots.tpm import Tpm2
from device.storage.roots.tpm_root import TpmRoot
from device.storage.secure_storage import StorageFlag, Uid
from factory.making.rewrap import rewrap_device_storage
from scripts._soft_elements import swtpm
from tests.hardware.conftest import Figures
from tests.support import elements
from tests.support.device_process import device
from tests.support.elements import ElementBench, variables
from tests.support.errors import raises
from tests.support.hang import SECONDS
from tests.support.own_process import in_own_process
from tests.support.power import PowerCutError, PowerSupply
from tests.support.wire_world import WireWorld
from tests.support.worlds import boot
from tests.wire.conftest import LocalCloud

TPM = TpmPlan("tabrmd:bus_type=session")
EVERY = 3
"""Of the moments of an opening and a commit, one in so many is cut; a chip in memory is cut at
each (tests/unit/test_storage_crash.py)."""


def make_device(state: Path, plan: RootPlan) -> Path:
    with create_device_storage(state, root_of_trust=plan) as storage:
        storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
        storage.its.set(Uid.SERIAL_NUMBER, b"SN-1", StorageFlag.WRITE_ONCE)
        storage.its.set(Uid.DEVICE_ID, b"00112233445566778899aabbccddeeff")
        storage.advance(Lifecycle.SECURED)
    return state


def write(state: Path, value: bytes) -> None:
    with open_device_storage(state) as storage:
        storage.ps.set(Uid.DEVICE_CONFIGURATION, value)


def value_in(state: Path) -> bytes:
    with open_device_storage(state) as storage:
        return storage.ps.get(Uid.DEVICE_CONFIGURATION)


def tpm2(*command: str, tcti: str = TPM.tcti) -> str:
    """Run one of tpm2-tools."""
    environment = {**os.environ, "TPM2TOOLS_TCTI": tcti}
    done = subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=SECONDS
    )
    return done.stdout


def nv_indices() -> set[str]:
    return set(tpm2("tpm2_getcap", "handles-nv-index").split()) - {"-"}


# --- the attack that files cannot stop ---------------------------------------------------


def test_an_old_copy_of_the_whole_disk(tpm: ElementBench, tmp_path: Path, figures: Figures) -> None:
    """On files it opens, which status says beforehand; with a TPM it is refused."""
    for plan in (FILE, TPM):
        state = make_device(tmp_path / plan.kind, plan)
        write(state, b"old")
        shutil.copytree(state, tmp_path / f"copy of {plan.kind}")
        write(state, b"new")

    copy = tmp_path / "copy of file"
    assert value_in(copy) == b"old"
    assert "old disk" in read_status(copy).no_protection_against

    with raises(ROLLED_BACK) as refused:
        open_device_storage(tmp_path / "copy of tpm")
    assert value_in(tmp_path / "tpm") == b"new"
    assert "old disk" in read_status(tmp_path / "tpm").protects_against

    figures("FileFuses: it opens, and says 'no protection against: ... cloned disk, old disk'")
    figures(f"TpmRoot: refused: {refused.value}")


def test_a_clone_on_another_machine(tpm: ElementBench, tmp_path: Path, figures: Figures) -> None:
    for plan in (FILE, TPM):
        make_device(tmp_path / plan.kind, plan)
    (tmp_path / "machine").mkdir()

    with elements.tpm(tmp_path / "machine"):  # another TPM, for child processes
        on_files = device("status", "--state", tmp_path / "file")
        on_tpm = device("status", "--state", tmp_path / "tpm")

    assert on_files.code == ExitCode.DONE
    [status] = on_files.lines
    assert "cloned disk" in status["no_protection_against"]
    assert on_tpm.code == ExitCode.STORAGE_UNUSABLE
    assert on_tpm.error["error"] == OTHER_TPM.name
    figures("FileFuses: the clone works as the device does")
    figures(f"TpmRoot: {on_tpm.error['message']}")


# --- a TPM -------------------------------------------------------------------------------


def test_the_chip_forgets_what_moved_on(tpm: ElementBench, tmp_path: Path) -> None:
    before = nv_indices()
    state = make_device(tmp_path / "device", FILE)
    write(state, b"kept")

    assert rewrap_device_storage(state, TPM) == "file"
    assert len(nv_indices() - before) == 1
    assert value_in(state) == b"kept"
    shutil.copytree(state, tmp_path / "copy")

    assert rewrap_device_storage(state, FILE) == "tpm"
    assert nv_indices() == before
    assert value_in(state) == b"kept"
    with raises(ROLLED_BACK, match="no longer holds"):
        open_device_storage(tmp_path / "copy")


LEFT_BEHIND = 4
"""More objects than a chip has places for: each tool that ends without a flush leaves one."""


def test_what_killed_processes_left_in_a_chip_without_a_manager_is_told_apart(
    tmp_path: Path,
) -> None:
    elements.softhsm_module()  # installed with the TPM's software: scripts/_elements.py
    with swtpm(tmp_path) as port:
        way = TpmPlan(f"swtpm:host=127.0.0.1,port={port}")
        state = make_device(tmp_path / "device", way)
        with suppress(subprocess.CalledProcessError):
            for _ in range(LEFT_BEHIND):
                tpm2("tpm2_createprimary", "-C", "o", tcti=way.tcti)

        with raises(TPM_OCCUPIED) as refused:
            write(state, b"not now")
        assert "tpm2_flushcontext -t" in refused.value.next_step
        tpm2("tpm2_flushcontext", "-t", tcti=way.tcti)

        write(state, b"as before")
        assert value_in(state) == b"as before"


def test_a_resource_manager_clears_up_after_killed_processes(
    tpm: ElementBench, tmp_path: Path
) -> None:
    state = make_device(tmp_path / "device", TPM)
    for _ in range(LEFT_BEHIND):
        tpm2("tpm2_createprimary", "-C", "o")

    write(state, b"as ever")
    assert value_in(state) == b"as ever"


def test_a_device_out_of_service_leaves_nothing_in_the_chip(
    tpm: ElementBench, tmp_path: Path
) -> None:
    before = nv_indices()
    with open_device_storage(make_device(tmp_path, TPM)) as storage:
        storage.advance(Lifecycle.DECOMMISSIONED)
    assert nv_indices() == before


def refusal(use: Callable[[], object]) -> str:
    """Return which error ``use`` ends with."""
    try:
        use()
    except StorageError as error:
        return f"{error.name}: {error}"
    return "it worked"


def owner_with_a_password(folder: str) -> list[str]:
    """Return what a new device and an old one say; for a process of its own, with its own TPM."""
    with elements.tpm(Path(folder)):
        state = make_device(Path(folder) / "device", TPM)
        tpm2("tpm2_changeauth", "-c", "owner", "secret")
        made = refusal(lambda: make_device(Path(folder) / "new", TPM))
        return [made, refusal(lambda: open_device_storage(state))]


def cleared(folder: str) -> str:
    """Return what a device says whose TPM was cleared; for a process of its own."""
    with elements.tpm(Path(folder)):
        state = make_device(Path(folder) / "device", TPM)
        tpm2("tpm2_clear", "-c", "platform")
        return refusal(lambda: open_device_storage(state))


def test_a_tpm_whose_owner_has_a_password(tpm: ElementBench, tmp_path: Path) -> None:
    """The storage key is the owner's: neither a new device nor an old one gets at it."""
    said = in_own_process(owner_with_a_password, str(tmp_path))
    assert [words.partition(":")[0] for words in said] == ["TpmOwnerError"] * 2


def test_a_tpm_that_was_cleared(tpm: ElementBench, tmp_path: Path) -> None:
    assert in_own_process(cleared, str(tmp_path)).startswith("OtherTpmError")


def test_a_tpm_without_a_resource_manager_keeps_no_session_and_no_object(
    tpm: ElementBench, tmp_path: Path
) -> None:
    """The chip has room for three objects and 64 sessions, and nobody else to tidy them up."""
    (tmp_path / "tpm").mkdir()
    with swtpm(tmp_path / "tpm") as port:
        chip = Tpm2(f"swtpm:host=127.0.0.1,port={port}")
        sealed, index, auth = chip.seal(b"secret"), chip.new_index(), bytes(32)
        chip.begin_chain(index, auth)
        for _ in range(35):
            assert chip.read_chain(index, auth)
            assert chip.read_chain(index, b"wrong") is None
        with raises(OTHER_TPM):
            chip.unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]))
        assert chip.unseal(sealed) == b"secret"
        with variables({"TPM2TOOLS_TCTI": chip.tcti}):
            assert tpm2("tpm2_getcap", "handles-transient") == ""
            assert tpm2("tpm2_getcap", "handles-loaded-session") == ""


class PoweredTpm(Tpm2):
    """A TPM on a supply that is cut before or after a call."""

    def __init__(self, supply: PowerSupply) -> None:
        super().__init__(TPM.tcti)
        self._supply = supply

    def extend_chain(self, index: int, auth: bytes, link: bytes) -> None:
        self._supply.tick()
        super().extend_chain(index, auth, link)
        self._supply.tick()

    def read_chain(self, index: int, auth: bytes) -> bytes | None:
        self._supply.tick()
        return super().read_chain(index, auth)


def powered(supply: PowerSupply) -> tuple[Callable[[Path], Fs], RootMaker]:
    def mount(folder: Path) -> Fs:
        return supply.mount(OsFs(folder))

    def make_root(_: RootPlan, fs: Fs) -> RootOfTrust:
        return TpmRoot(fs, PoweredTpm(supply))

    return mount, make_root


def commit(state: Path, value: bytes, supply: PowerSupply) -> None:
    mount, make_root = powered(supply)
    with open_device_storage(state, mount=mount, make_root=make_root) as storage:
        storage.ps.set(Uid.DEVICE_CONFIGURATION, value)


def test_the_plug_is_pulled_around_a_commit(
    tpm: ElementBench, tmp_path: Path, figures: Figures
) -> None:
    state = make_device(tmp_path, TPM)
    uncut = PowerSupply()
    commit(state, b"0", uncut)
    held, outcomes = b"0", {"before": 0, "after": 0}
    for moment in range(1, uncut.moments + 1, EVERY):
        value = str(moment).encode()
        with suppress(PowerCutError):
            commit(state, value, PowerSupply(cut_at=moment))
        found = value_in(state)
        assert found in (held, value)
        outcomes["after" if found == value else "before"] += 1
        held = found
    assert min(outcomes.values()) > 0, "cuts on both sides of the moment that counts"
    figures(f"{uncut.moments} moments, cuts that left the state before or after: {outcomes}")


def test_a_device_is_made_and_boots_on_a_tpm(
    tpm: ElementBench, local_cloud: LocalCloud, label: str, tmp_path: Path
) -> None:
    world = WireWorld(local_cloud, tmp_path / "station")
    root = f"tpm:{TPM.tcti}"
    state = world.make_device(tmp_path / "device", f"SN-{label}", "--root-of-trust", root)

    identity = boot(world, state)

    assert world.registry(f"SN-{label}").active_certificates == [identity.certificate_id]
    status = read_status(state)
    assert (status.root_of_trust, status.storage_flags) == ("tpm", [])


# --- a token with an HMAC key ------------------------------------------------------------


def serial_of(state: str, environment: dict[str, str]) -> str:
    with variables(environment), open_device_storage(Path(state), read_only=True) as storage:
        return storage.its.get(Uid.SERIAL_NUMBER).decode()


def test_a_token_makes_the_root_key(softhsm: ElementBench, label: str, tmp_path: Path) -> None:
    plan = Pkcs11Plan(softhsm.new_token(label).uri)
    state = make_device(tmp_path / "device", plan)
    write(state, b"kept")

    assert in_own_process(serial_of, str(state), dict(softhsm.environment)) == "SN-1"
    assert read_status(state).root_of_trust == "pkcs11"
    assert rewrap_device_storage(state, FILE) == "pkcs11"
    assert value_in(state) == b"kept"


def test_another_token_of_the_same_name(softhsm: ElementBench, label: str, tmp_path: Path) -> None:
    state = make_device(tmp_path / "device", Pkcs11Plan(softhsm.new_token(label).uri))
    (tmp_path / "machine").mkdir()
    with elements.softhsm(tmp_path / "machine") as other:
        said = in_own_process(refusal_of, str(state), label, str(other.folder))
    assert said.startswith("RootKeyMissingError")


def refusal_of(state: str, label: str, folder: str) -> str:
    """Return how the device is refused where a blank token has its token's name."""
    bench = ElementBench(
        "softhsm", elements.softhsm_module(), Path(folder),
        {"SOFTHSM2_CONF": f"{folder}/softhsm2.conf"},
    )  # fmt: skip
    with variables(bench.environment):
        bench.new_token(label)
        return refusal(lambda: open_device_storage(Path(state)))


def test_a_token_without_hmac_says_so(tpm: ElementBench, label: str, tmp_path: Path) -> None:
    """As tpm2-pkcs11 1.9: there the TPM itself is the root of trust to choose."""
    with raises(HMAC_MISSING, match=label):
        make_device(tmp_path, Pkcs11Plan(tpm.new_token(label).uri))
