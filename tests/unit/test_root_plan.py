"""Is a root of trust found where the station noted it, and refused where it cannot be meant?"""

from pathlib import Path

import pytest

from device.errors import ConfigurationError
from device.errors.element import Pkcs11UriError
from device.errors.storage import DataCorruptError
from device.storage.device_storage import create_device_storage, open_device_storage
from device.storage.filesystem import OsFs
from device.storage.roots.descriptor import NAME, Descriptor, read_descriptor, write_descriptor
from device.storage.roots.root_plan import (
    FILE,
    CredentialPlan,
    OtpPlan,
    Pkcs11Plan,
    RootPlan,
    TpmPlan,
    make_root,
    parse_plan,
)
from device.storage.secure_storage import Uid
from tests.support.roots import RootBench
from tests.support.sealed_device import make_device

URI = "pkcs11:token=dev?module-path=/lib/m.so"


@pytest.mark.parametrize(
    ("text", "plan"),
    [
        ("file", FILE),
        ("systemd-credential", CredentialPlan("firstboot-root")),
        ("systemd-credential:my.root", CredentialPlan("my.root")),
        ("tpm", TpmPlan("device:/dev/tpmrm0")),
        ("tpm:device:/dev/tpm0", TpmPlan("device:/dev/tpm0")),
        ("tpm:swtpm:host=127.0.0.1,port=2321", TpmPlan("swtpm:host=127.0.0.1,port=2321")),
        ("raspberry-pi-otp", OtpPlan(1)),
        ("raspberry-pi-otp:2", OtpPlan(2)),
        (URI, Pkcs11Plan(URI)),
    ],
)
def test_a_root_is_named_in_one_word(text: str, plan: RootPlan) -> None:
    assert parse_plan(text, "--to") == plan


@pytest.mark.parametrize(
    ("text", "next_step"),
    [
        ("", "Choose one of: file, systemd-credential, tpm, pkcs11, raspberry-pi-otp."),
        ("TPM", "Choose one of"),
        ("file:x", "like this: file"),
        ("pkcs11", "like this: pkcs11:token="),
        ("tpm:", "like this: tpm:device:/dev/tpmrm0"),
        ("tpm:cmd:rm -rf /", "like this: tpm:"),
        ("tpm:device:/dev/tpmrm0\n", "like this: tpm:"),
        ("systemd-credential:../root", "like this: systemd-credential:"),
        ("systemd-credential:.", "like this: systemd-credential:"),
        ("raspberry-pi-otp:0", "like this: raspberry-pi-otp:1"),
        ("raspberry-pi-otp:one", "like this: raspberry-pi-otp:1"),
    ],
)
def test_what_cannot_be_meant_names_the_option(text: str, next_step: str) -> None:
    with pytest.raises(ConfigurationError, match="--to: ") as caught:
        parse_plan(text, "--to")
    assert next_step in caught.value.next_step


@pytest.mark.parametrize("plan", [FILE, TpmPlan(), CredentialPlan(), OtpPlan(), Pkcs11Plan(URI)])
def test_the_example_of_each_kind_can_be_read(plan: RootPlan) -> None:
    assert type(parse_plan(plan.example, "--to")) is type(plan)


def test_a_root_and_its_plan_have_one_name(root: RootBench, tmp_path: Path) -> None:
    assert root.root(OsFs(tmp_path)).kind == root.plan.kind


@pytest.mark.parametrize("text", ["file", "systemd-credential", "tpm", "raspberry-pi-otp", URI])
def test_each_root_can_be_made_without_its_hardware(text: str, tmp_path: Path) -> None:
    plan = parse_plan(text, "--to")
    assert make_root(plan, OsFs(tmp_path)).kind == plan.kind


def test_a_device_of_an_older_station_stands_on_files(tmp_path: Path) -> None:
    """One that was made before there was a descriptor has none, and nothing is added to it."""
    state = make_device(tmp_path / "device")
    assert not (state / NAME).exists()
    with open_device_storage(state) as storage:
        assert storage.root_of_trust.kind == "file"
        assert storage.its.get(Uid.SERIAL_NUMBER) == b"SN-1"
    assert sorted(path.name for path in state.iterdir()) == ["fuses", "storage"]


@pytest.mark.parametrize("plan", [FILE, TpmPlan(), CredentialPlan("x"), OtpPlan(3)])
def test_a_descriptor_reads_back(plan: RootPlan, tmp_path: Path) -> None:
    descriptor = Descriptor(plan, "fuses-2", to_erase=TpmPlan("swtpm:"))
    write_descriptor(OsFs(tmp_path), descriptor)
    assert read_descriptor(OsFs(tmp_path)) == descriptor


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"root_of_trust": {"kind": "magic"}}',
        b'{"root_of_trust": {"kind": "file", "key": 1}}',
        b'{"root_of_trust": {"kind": "tpm", "tcti": "cmd:/bin/sh"}}',
        b'{"folder": "../elsewhere"}',
        b'{"colour": "red"}',
    ],
)
def test_a_descriptor_that_nobody_wrote_opens_nothing(content: bytes, tmp_path: Path) -> None:
    state = make_device(tmp_path / "device")
    (state / NAME).write_bytes(content)
    with pytest.raises(DataCorruptError, match=NAME):
        open_device_storage(state)


def test_a_root_that_cannot_be_meant_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(Pkcs11UriError):
        create_device_storage(tmp_path, root_of_trust=Pkcs11Plan("pkcs11:nonsense"))
    create_device_storage(tmp_path).close()
    assert not (tmp_path / NAME).exists()


def test_a_device_in_the_making_may_change_its_root(root: RootBench, tmp_path: Path) -> None:
    """Also where the first root was half burned."""
    root.create(tmp_path).close()
    with create_device_storage(tmp_path, make_root=root.make_root) as storage:
        assert storage.root_of_trust.kind == "file"
    with root.create(tmp_path) as storage:
        assert storage.root_of_trust.kind == root.plan.kind
