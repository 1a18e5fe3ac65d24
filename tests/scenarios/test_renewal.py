"""R1 to R5 in memory: a renewal ends with one identity, a new key, and nothing left behind."""

from pathlib import Path

import msgspec
import pytest

from device.agent import Agent
from device.config.device_plan import plan_for
from device.errors import FirstbootError
from device.errors.provisioning import (
    CertificateUnacceptableError,
    NoReplyError,
    UnexpectedThingNameError,
)
from device.errors.renewal import (
    RenewalNotConfirmedError,
    RenewalRefusedError,
    RenewedCertificateRefusedError,
)
from device.runtime import journal
from device.runtime.journal import Identity
from device.runtime.loop import Patience
from device.storage.device_storage import open_device_storage
from device.storage.secure_storage import Uid
from tests.support.certificates import DeviceAuthority
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import Diary, MemoryWorld, boot
from tests.support.renewals import renew, renew_home, assert_one_identity

SERIAL = "SN-1"


@pytest.fixture
def provisioned(memory: MemoryWorld, tmp_path: Path) -> Path:
    state = memory.make_device(tmp_path / "device", SERIAL)
    boot(memory, state)
    return state


def test_a_renewal_gives_another_certificate_for_another_key(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = boot(memory, provisioned)

    new = renew(memory, provisioned)

    assert new.certificate_id != old.certificate_id
    assert new.key != old.key
    assert_one_identity(memory, provisioned, SERIAL)


def test_the_old_certificate_is_inactive_and_detached_and_its_key_destroyed(
    memory: MemoryWorld, provisioned: Path
) -> None:
    old = boot(memory, provisioned)

    renew(memory, provisioned)

    retired = memory.cloud.certificates[old.certificate_id]
    assert (retired.status, retired.thing) == ("INACTIVE", None)
    with open_device_storage(provisioned, read_only=True, mount=memory.mount) as storage:
        assert old.key not in storage.keys.keys()  # noqa: SIM118 - a KeyStore is no dict


def test_each_of_ten_renewals_has_a_key_of_its_own(memory: MemoryWorld, provisioned: Path) -> None:
    keys = {boot(memory, provisioned).certificate_id}

    keys |= {renew(memory, provisioned).certificate_id for _ in range(10)}

    assert len(keys) == 11
    assert_one_identity(memory, provisioned, SERIAL)
