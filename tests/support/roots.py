"""Roots of trust for tests: each kind, with the hardware that it wants."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from device.storage.device_storage import (
    DeviceStorage,
    create_device_storage,
    open_device_storage,
)
from device.storage.filesystem import Fs, Mount, OsFs
from device.storage.lifecycle import Lifecycle
from device.storage.roots.pkcs11_root import Pkcs11Root
from device.storage.roots.raspberry_pi_otp import RaspberryPiOtp
from device.storage.roots.root_of_trust import RootOfTrust
from device.storage.roots.root_plan import (
    FILE,
    CredentialPlan,
    OtpPlan,
    Pkcs11Plan,
    RootMaker,
    RootPlan,
    TpmPlan,
    make_root,
)
from device.storage.roots.systemd_credential import SystemdCredential
from device.storage.roots.tpm_root import TpmRoot
from device.storage.secure_storage import StorageFlag, Uid
from tests.support.fake_firmware import FakeFirmware
from tests.support.fake_module import FakeModule
from tests.support.fake_tpm import FakeTpm, RecordedMemory
from tests.support.recording_fs import RecordingFs

CREDENTIAL = bytes(range(32))
PIN_VALUE = "1234"


@dataclass
class Hardware:
    """What surrounds one device: another one is another board."""

    folder: Path
    credential: bytes = CREDENTIAL
    tpm: FakeTpm = field(default_factory=FakeTpm)
    firmware: FakeFirmware = field(default_factory=lambda: FakeFirmware({1: b"o" * 32}))
    module: FakeModule = field(default_factory=FakeModule)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, content in (("root", self.credential), ("pin", PIN_VALUE.encode())):
            path = self.folder / name
            path.touch(mode=0o600)
            path.write_bytes(content)

    @property
    def environment(self) -> dict[str, str]:
        return {"CREDENTIALS_DIRECTORY": str(self.folder)}

    @property
    def uri(self) -> str:
        return f"pkcs11:token=dev?module-path=/fake/module.so&pin-source={self.folder}/pin"

    def make_root(self, plan: RootPlan, fs: Fs) -> RootOfTrust:
        """A `RootMaker` whose chips are this board's; with a recording disk they are recorded."""
        match plan:
            case TpmPlan():
                return TpmRoot(fs, self._tpm_on(fs))
            case CredentialPlan(credential=name):
                return SystemdCredential(fs, name, self.environment)
            case OtpPlan(key=key):
                return RaspberryPiOtp(fs, self.firmware, key)
            case Pkcs11Plan(uri=uri):
                return Pkcs11Root(fs, uri, lambda _: self.module)
            case _:
                return make_root(plan, fs)

    def _tpm_on(self, fs: Fs) -> FakeTpm:
        return FakeTpm(RecordedMemory(fs.disk)) if isinstance(fs, RecordingFs) else self.tpm


PLANS: dict[str, Callable[[Hardware], RootPlan]] = {
    "file": lambda _: FILE,
    "systemd-credential": lambda _: CredentialPlan("root"),
    "tpm": lambda _: TpmPlan("swtpm:"),
    "pkcs11": lambda hardware: Pkcs11Plan(hardware.uri),
    "raspberry-pi-otp": lambda _: OtpPlan(1),
}


@dataclass(frozen=True)
class RootBench:
    """One kind of root of trust on one board."""

    plan: RootPlan
    make_root: RootMaker

    @classmethod
    def of(cls, kind: str, hardware: Hardware) -> "RootBench":
        return cls(PLANS[kind](hardware), hardware.make_root)

    def root(self, fs: Fs) -> RootOfTrust:
        return self.make_root(self.plan, fs)

    def create(self, state: Path, mount: Mount = OsFs) -> DeviceStorage:
        return create_device_storage(
            state, root_of_trust=self.plan, mount=mount, make_root=self.make_root
        )

    def open(self, state: Path, *, read_only: bool = False, mount: Mount = OsFs) -> DeviceStorage:
        return open_device_storage(
            state, read_only=read_only, mount=mount, make_root=self.make_root
        )

    def make_device(self, state: Path, mount: Mount = OsFs) -> Path:
        """Fill ``state`` with a SECURED device whose serial number is final; return ``state``."""
        with self.create(state, mount) as storage:
            storage.advance(Lifecycle.PSA_ROT_PROVISIONING)
            storage.its.set(Uid.SERIAL_NUMBER, b"SN-1", StorageFlag.WRITE_ONCE)
            storage.advance(Lifecycle.SECURED)
        return state
