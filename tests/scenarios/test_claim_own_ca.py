"""A device whose certificate another CA than AWS's signs: what it accepts, and what it keeps."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509

from device.errors.provisioning import CLOUD_REJECTED, CertificateUnacceptableError
from device.storage.device_storage import open_device_storage
from device.storage.keys import CLAIM_KEY
from device.storage.secure_storage import Uid
from tests.support.certificates import NOW, DeviceAuthority, PublicKey, new_key
from tests.support.errors import raises
from tests.support.power import PowerCutError, PowerSupply
from tests.support.worlds import Diary, MemoryWorld, boot, boot_home

SERIAL = "SN-1"
OWN_CA = DeviceAuthority("the station's own CA")
STRANGER = DeviceAuthority("someone else's CA")

Provider = Callable[[PublicKey, x509.Name], str]


def right(key: PublicKey, subject: x509.Name) -> str:
    return OWN_CA.issue(key, subject).decode()


def of_another_ca(key: PublicKey, subject: x509.Name) -> str:
    return STRANGER.issue(key, subject).decode()


def for_another_key(_: PublicKey, subject: x509.Name) -> str:
    return OWN_CA.issue(new_key().public_key(), subject).decode()


def with_another_subject(key: PublicKey, _: x509.Name) -> str:
    return OWN_CA.issue(key, {"common_name": "SN-2"}).decode()


@pytest.fixture
def world(memory: MemoryWorld) -> MemoryWorld:
    memory.settings = msgspec.structs.replace(memory.settings, method="claim-own-ca")
    memory.cloud.provider = right
    memory.clock.set_wall(NOW.timestamp())
    return memory


@pytest.fixture
def device(world: MemoryWorld, state: Path) -> Path:
    world.make_device(state, SERIAL)
    with open_device_storage(state, mount=world.mount) as storage:
        storage.ps.set(Uid.ISSUER_CA, OWN_CA.certificate_pem)
    return state


def held(world: MemoryWorld, device: Path) -> set[int]:
    with open_device_storage(device, read_only=True, mount=world.mount) as storage:
        assert CLAIM_KEY in storage.keys.keys()  # noqa: SIM118 - a key store is no dict
        return set(storage.ps.uids())


def test_a_certificate_of_the_own_ca_becomes_the_identity(world: MemoryWorld, device: Path) -> None:
    identity = boot(world, device)

    assert (identity.method, identity.key_made_by) == ("claim-own-ca", "device")
    assert world.registry(SERIAL).active_certificates == [identity.certificate_id]


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (of_another_ca, "not issued by the issuer_ca; it names 'CN=someone else's CA'"),
        (for_another_key, "belongs to another key"),
        (with_another_subject, "subject is 'CN=SN-2', asked for was 'CN=SN-1'"),
        (lambda *asked: right(*asked) + OWN_CA.certificate_pem.decode(), "found 2"),
    ],
    ids=["another CA", "another key", "another subject", "a chain"],
)
def test_what_the_device_did_not_ask_for_is_named_and_nothing_is_lost(
    world: MemoryWorld, device: Path, provider: Provider, words: str
) -> None:
    world.cloud.provider = leaf_first(world, provider)

    with pytest.raises(CertificateUnacceptableError) as raised:
        boot(world, device)

    assert words in str(raised.value).replace('"', "'")
    assert Uid.CLAIM_CERTIFICATE in held(world, device)
    assert Uid.STAGED_CERTIFICATE not in held(world, device)
    world.cloud.provider, world.cloud.dress = right, str
    assert boot(world, device).thing_name == SERIAL


def leaf_first(world: MemoryWorld, provider: Provider) -> Provider:
    """Let the cloud register the leaf, and the reply hold all that ``provider`` returned."""

    def sign(key: PublicKey, subject: x509.Name) -> str:
        whole = provider(key, subject)
        world.cloud.dress = lambda _: whole
        return whole[: whole.index("-----END") + 26]

    return sign


def test_a_lambda_that_fails_is_named_and_nothing_is_lost(world: MemoryWorld, device: Path) -> None:
    said = {"status_code": 400, "error_code": "InvocationError", "error_message": "It failed."}
    world.fault("reject", operation="create-from-csr", **said)

    with raises(CLOUD_REJECTED, match="InvocationError: It failed") as raised:
        boot(world, device)

    assert "the account's certificate provider. Read its log" in raised.value.next_step
    assert Uid.CLAIM_CERTIFICATE in held(world, device)
    assert boot(world, device).thing_name == SERIAL


class _CutAfterRegistering(PowerSupply):
    """Cuts the power when the reply to RegisterThing would come."""

    def __init__(self, world: MemoryWorld) -> None:
        super().__init__()
        self._world = world

    def tick(self) -> None:
        if SERIAL in self._world.cloud.things:
            raise PowerCutError


def test_a_certificate_that_expired_before_it_was_proven_is_replaced(
    world: MemoryWorld, device: Path
) -> None:
    """It lives for an hour, and the device lay without power for two."""

    def for_an_hour(key: PublicKey, subject: x509.Name) -> str:
        end = datetime.fromtimestamp(world.clock.wall(), UTC) + timedelta(hours=1)
        return OWN_CA.issue(key, subject, not_after=end).decode()

    world.cloud.provider = for_an_hour
    with pytest.raises(PowerCutError):
        boot(world, device, supply=_CutAfterRegistering(world))
    (expired,) = world.cloud.issued()
    world.clock.advance(7200.0)
    diary = Diary()

    identity = boot_home(world, device, diary=diary).certificate_id

    assert identity != expired
    assert "CertificateIssued" in diary.types()


def test_a_ca_in_the_settings_outranks_the_installed_one(
    world: MemoryWorld, device: Path, tmp_path: Path
) -> None:
    file = tmp_path / "other-ca.pem"
    file.write_bytes(STRANGER.certificate_pem)
    world.settings = msgspec.structs.replace(world.settings, issuer_ca=str(file))

    with pytest.raises(CertificateUnacceptableError, match="not issued by the issuer_ca"):
        boot(world, device)
