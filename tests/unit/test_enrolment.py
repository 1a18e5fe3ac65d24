"""Is each step of provisioning one commit, and is nothing stored that was not checked?"""

import hmac
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from msgspec.structs import replace

from device.errors.provisioning import (
    CLAIM_MISSING,
    CREDENTIAL_UNUSABLE,
    INSTALLED_CERTIFICATE,
    CertificateUnacceptableError,
)
from device.errors.storage import CAPACITY_EXCEEDED, DataCorruptError
from device.identity.certificates import certificate_id
from device.identity.csr import subject_name
from device.lifecycle import journal
from device.lifecycle.journal import Keyed, Registered, Staged
from device.provisioning import events as ev
from device.provisioning.events import Credential
from device.provisioning.evidence import ROUNDS, SPACING_SECONDS
from device.runtime.credentials import Credentials, InstalledClaim
from device.storage import installed_certificate
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.keys import CLAIM_KEY, KeyId, KeyType, MemoryIdentity
from device.storage.secure_storage import Uid
from tests.support.certificates import NOW, DeviceAuthority, new_key, pem_of
from tests.support.clock import FakeClock
from tests.support.devices import (
    AUTHORITY,
    CLAIM_KEY_PEM,
    CLAIM_PEM,
    SERIAL,
    TOKEN,
    advance_to,
    enrolment_of,
    issued_for,
    issued_with_key,
    make_device,
    open_device,
)
from tests.support.errors import raises

KEY = KeyId("device-key.1")


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device(tmp_path) as storage:
        yield storage


def identity_for(storage: DeviceStorage, credential: Credential) -> MemoryIdentity:
    claims = InstalledClaim(storage)
    identity = Credentials(storage, claims).tls_identity(credential)
    assert isinstance(identity, MemoryIdentity)
    return identity


def key_pem(storage: DeviceStorage) -> bytes:
    identity = storage.keys.tls_identity(KEY, b"")
    assert isinstance(identity, MemoryIdentity)
    return identity.private_key_pem


def entries(storage: DeviceStorage) -> dict[tuple[str, int], bytes]:
    """Everything that is stored."""
    services = {"its": storage.its, "ps": storage.ps}
    return {(name, uid): s.get(uid) for name, s in services.items() for uid in s.uids()}


# --- keys -------------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", KeyType)
def test_the_key_and_its_request_are_made_in_one_commit(
    storage: DeviceStorage, key_type: KeyType
) -> None:
    before = storage.generation

    csr_pem = enrolment_of(storage, key_type=key_type).generate_key()

    assert storage.generation == before + 1
    assert journal.load(storage.ps) == Keyed(KEY, csr_pem)
    csr = x509.load_pem_x509_csr(csr_pem.encode())
    assert csr.is_signature_valid
    assert csr.public_key() == storage.keys.export_public_key(KEY)
    assert csr.subject == subject_name({"common_name": SERIAL})
    assert isinstance(csr.public_key(), ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
    assert storage.keys.get_key_attributes(KEY).key_type is key_type


def test_keys_are_never_named_alike(storage: DeviceStorage) -> None:
    storage.keys.generate_key(KeyId("device-key.9"), KeyType.EC_P256)

    enrolment_of(storage).generate_key()

    assert storage.keys.keys() == [CLAIM_KEY, "device-key.10", "device-key.9"]


# --- certificates -----------------------------------------------------------------------


def test_a_certificate_and_its_token_are_staged_in_one_commit(storage: DeviceStorage) -> None:
    csr_pem = enrolment_of(storage).generate_key()
    order, before = issued_for(storage), storage.generation

    assert enrolment_of(storage).stage(order) == ev.CertificateStaged()

    assert storage.generation == before + 1
    assert storage.ps.get(Uid.STAGED_CERTIFICATE) == order.certificate_pem.encode()
    staged = Staged(KEY, csr_pem, order.certificate_id, TOKEN)
    assert journal.load(storage.ps) == staged


def test_a_key_made_by_aws_is_staged_with_its_certificate(storage: DeviceStorage) -> None:
    order, before = issued_with_key(), storage.generation

    enrolment_of(storage).stage(order)

    assert storage.generation == before + 1
    assert (
        identity_for(storage, Credential.STAGED).certificate_pem == order.certificate_pem.encode()
    )
    progress = journal.load(storage.ps)
    assert isinstance(progress, Staged)
    assert (progress.key, progress.csr_pem) == (KEY, None)


def set_made_at(storage: DeviceStorage, moment: datetime) -> None:
    storage.its.set(Uid.MADE_AT, moment.isoformat().encode())


def test_a_clock_that_is_behind_is_reported_and_the_certificate_kept(
    storage: DeviceStorage,
) -> None:
    enrolment = enrolment_of(storage, FakeClock((NOW - timedelta(days=1)).timestamp()))
    enrolment.generate_key()

    event = enrolment.stage(issued_for(storage))

    assert isinstance(event, ev.ClockFoundBehind)
    assert event.now < event.not_before
    assert isinstance(journal.load(storage.ps), Staged)


def test_a_clock_that_is_behind_matters_not_where_the_station_knew_better(
    storage: DeviceStorage,
) -> None:
    set_made_at(storage, NOW)
    enrolment = enrolment_of(storage, FakeClock((NOW - timedelta(days=1)).timestamp()))
    enrolment.generate_key()

    assert enrolment.stage(issued_for(storage)) == ev.CertificateStaged()


def test_without_a_clock_there_is_no_verdict(storage: DeviceStorage) -> None:
    enrolment = enrolment_of(storage, FakeClock(0.0))
    enrolment.generate_key()

    assert enrolment.stage(issued_for(storage)) == ev.CertificateStaged()


def refused(storage: DeviceStorage, **changes: str) -> str:
    """Stage a certificate with ``changes``; return why it is refused, with nothing stored."""
    order, before = replace(issued_for(storage), **changes), entries(storage)
    with pytest.raises(CertificateUnacceptableError) as raised:
        enrolment_of(storage, issuer_pem=AUTHORITY.certificate_pem).stage(order)
    assert entries(storage) == before
    return str(raised.value)


@pytest.fixture
def keyed(storage: DeviceStorage) -> DeviceStorage:
    enrolment_of(storage).generate_key()
    return storage


def test_a_certificate_for_another_key(keyed: DeviceStorage) -> None:
    pem = AUTHORITY.issue(new_key().public_key(), {"common_name": SERIAL}).decode()

    assert "another key" in refused(keyed, certificate_pem=pem)


def test_a_certificate_with_another_id(keyed: DeviceStorage) -> None:
    assert f"not {'0' * 64}" in refused(keyed, certificate_id="0" * 64)


def test_a_certificate_of_another_issuer(keyed: DeviceStorage) -> None:
    key = keyed.keys.export_public_key(KEY)
    pem = DeviceAuthority().issue(key, {"common_name": SERIAL})

    problem = refused(keyed, certificate_pem=pem.decode(), certificate_id=certificate_id(pem))

    assert "not issued by the issuer_ca" in problem


def test_a_certificate_with_another_subject(keyed: DeviceStorage) -> None:
    pem = AUTHORITY.issue(keyed.keys.export_public_key(KEY), {"common_name": "SN-2"})

    problem = refused(keyed, certificate_pem=pem.decode(), certificate_id=certificate_id(pem))

    assert "CN=SN-2" in problem


def test_a_certificate_that_expired_before_the_device_was_made(keyed: DeviceStorage) -> None:
    set_made_at(keyed, NOW)
    key, past = keyed.keys.export_public_key(KEY), NOW - timedelta(seconds=1)
    pem = AUTHORITY.issue(key, {"common_name": SERIAL}, not_after=past)

    problem = refused(keyed, certificate_pem=pem.decode(), certificate_id=certificate_id(pem))

    assert "expired" in problem


def test_our_clock_alone_does_not_make_a_certificate_expired(keyed: DeviceStorage) -> None:
    enrolment = enrolment_of(keyed, FakeClock(4_000_000_000.0))

    assert enrolment.stage(issued_for(keyed)) == ev.CertificateStaged()


@pytest.mark.parametrize("pem", ["", "null", "\x00", "é", CLAIM_KEY_PEM.decode()])
def test_a_certificate_that_is_none(keyed: DeviceStorage, pem: str) -> None:
    assert "found 0" in refused(keyed, certificate_pem=pem)


@pytest.mark.parametrize(
    ("private_key_pem", "problem"),
    [
        ("", "not a private key"),
        ("garbage", "not a private key"),
        (CLAIM_PEM.decode(), "not a private key"),
        (pem_of(ec.generate_private_key(ec.SECP521R1())).decode(), "secp521r1"),
        (pem_of(new_key()).decode(), "another key"),
    ],
)
def test_a_private_key_that_cannot_be_used(
    storage: DeviceStorage, private_key_pem: str, problem: str
) -> None:
    """A hostile answer is the cloud's fault, not the storage's: its error must say so."""
    order, before = (
        replace(issued_with_key(), private_key_pem=private_key_pem),
        entries(storage),
    )

    with pytest.raises(CertificateUnacceptableError, match=problem):
        enrolment_of(storage).stage(order)

    assert entries(storage) == before


def test_a_certificate_that_nobody_asked_for(storage: DeviceStorage) -> None:
    order = replace(issued_with_key(), private_key_pem=None)

    with pytest.raises(DataCorruptError, match="key that is not stored"):
        enrolment_of(storage).stage(order)


def test_a_proof_is_bound_to_serial_and_certificate(storage: DeviceStorage) -> None:
    storage.its.set(Uid.PROOF_KEY, b"k" * 32)
    enrolment_of(storage).generate_key()
    order = issued_for(storage)

    event = enrolment_of(storage).stage(order)

    message = f"{SERIAL}.{order.certificate_id}".encode()
    proof = hmac.new(b"k" * 32, message, "sha256").hexdigest()
    assert event == ev.CertificateStaged(proof)
    progress = journal.load(storage.ps)
    assert isinstance(progress, Staged)
    assert progress.proof == proof


# --- forgetting, registering, promoting -------------------------------------------------


def without_given_up(storage: DeviceStorage) -> dict[tuple[str, int], bytes]:
    """Everything but the ids that are kept for the cloud."""
    return {name: data for name, data in entries(storage).items() if name[1] != Uid.GIVEN_UP}


@pytest.mark.parametrize("step", ["staged", "registered"])
def test_giving_up_keeps_a_key_of_the_devices_own(storage: DeviceStorage, step: str) -> None:
    advance_to(storage, "keyed")
    keyed = entries(storage)
    enrolment_of(storage).stage(issued_for(storage))
    if step == "registered":
        enrolment_of(storage).record_registration(SERIAL, {})
    identifier, before = certificate_id(storage.ps.get(Uid.STAGED_CERTIFICATE)), storage.generation

    enrolment_of(storage).give_up_staged()

    assert storage.generation == before + 1
    assert without_given_up(storage) == keyed
    assert journal.load_given_up(storage.ps) == (identifier,)


@pytest.mark.parametrize("step", ["staged", "registered"])
def test_giving_up_destroys_a_key_made_by_aws(storage: DeviceStorage, step: str) -> None:
    made = entries(storage)
    advance_to(storage, step, keys_made_by_aws=True)

    enrolment_of(storage).give_up_staged()

    assert without_given_up(storage) == made


def test_what_was_given_up_is_told_with_the_next_certificate(storage: DeviceStorage) -> None:
    advance_to(storage, "staged")
    enrolment_of(storage).give_up_staged()
    given_up = journal.load_given_up(storage.ps)

    event = enrolment_of(storage).stage(issued_for(storage))

    assert len(given_up) == 1
    assert event == ev.CertificateStaged("", given_up)


def test_what_was_given_up_outlives_the_promotion(storage: DeviceStorage) -> None:
    advance_to(storage, "staged")
    enrolment_of(storage).give_up_staged()
    given_up = journal.load_given_up(storage.ps)
    enrolment_of(storage).stage(issued_for(storage))
    enrolment_of(storage).record_registration(SERIAL, {})

    enrolment_of(storage).promote(SERIAL)

    assert journal.load_given_up(storage.ps) == given_up


def test_giving_up_where_nothing_is_staged_does_nothing(storage: DeviceStorage) -> None:
    before = storage.generation

    enrolment_of(storage).give_up_staged()

    assert storage.generation == before


@pytest.mark.parametrize("step", ["staged", "registered"])
def test_a_refusal_is_remembered_until_the_certificate_is_let_in(
    storage: DeviceStorage, step: str
) -> None:
    advance_to(storage, step)
    clock = FakeClock(NOW.timestamp())
    for _ in range(ROUNDS):
        clock.advance(SPACING_SECONDS)
        enrolment_of(storage, clock).record_refusal()
    assert isinstance(enrolment_of(storage).stored(), ev.StagedCertificateDoubted)

    enrolment_of(storage).record_registration(SERIAL, None)

    assert isinstance(enrolment_of(storage).stored(), ev.RegistrationFound)


def test_a_burst_of_refusals_is_two_commits_at_most(storage: DeviceStorage) -> None:
    advance_to(storage, "staged")
    clock, before = FakeClock(NOW.timestamp()), storage.generation

    for _ in range(25):
        enrolment_of(storage, clock).record_refusal()
        clock.advance(1.0)

    assert storage.generation == before + 2


def test_a_registration_keeps_the_token_until_the_proof(storage: DeviceStorage) -> None:
    advance_to(storage, "staged")
    before = storage.generation

    enrolment_of(storage).record_registration("a-name", {"a": "b"})

    assert storage.generation == before + 1
    progress = journal.load(storage.ps)
    assert isinstance(progress, Registered)
    assert (progress.thing_name, progress.device_configuration) == ("a-name", {"a": "b"})
    assert progress.ownership_token == TOKEN
    enrolment_of(storage).promote("a-name")
    assert not any(TOKEN.encode() in data for data in entries(storage).values())


def test_a_registration_that_is_known_is_not_written_again(storage: DeviceStorage) -> None:
    advance_to(storage, "registered")
    before = storage.generation

    enrolment_of(storage).record_registration(SERIAL, None)

    assert storage.generation == before
    progress = journal.load(storage.ps)
    assert isinstance(progress, Registered)
    assert progress.device_configuration == {"greeting": "hello"}


def test_a_configuration_that_does_not_fit_loses_nothing(storage: DeviceStorage) -> None:
    advance_to(storage, "staged")
    before = entries(storage)

    with raises(CAPACITY_EXCEEDED):
        enrolment_of(storage).record_registration(SERIAL, {"a": "x" * 100_000})

    assert entries(storage) == before


def test_nothing_staged_cannot_be_registered(storage: DeviceStorage) -> None:
    with pytest.raises(DataCorruptError, match="no certificate is staged"):
        enrolment_of(storage).record_registration(SERIAL, {})


@pytest.mark.parametrize("keys_made_by_aws", [False, True])
def test_promotion_is_one_commit_and_destroys_the_claim(
    storage: DeviceStorage, *, keys_made_by_aws: bool
) -> None:
    advance_to(storage, "registered", keys_made_by_aws=keys_made_by_aws)
    pem, before = storage.ps.get(Uid.STAGED_CERTIFICATE), storage.generation

    assert enrolment_of(storage).promote(SERIAL)

    assert storage.generation == before + 1
    identity = journal.load_identity(storage.ps)
    assert identity is not None
    assert identity.thing_name == SERIAL
    assert identity.certificate_id == certificate_id(pem)
    assert identity.key_uri == f"sealed:{KEY}"
    assert identity.key_made_by == ("aws" if keys_made_by_aws else "device")
    assert identity.promoted_at == NOW.timestamp()
    assert storage.ps.get(Uid.DEVICE_CERTIFICATE) == pem
    assert storage.ps.get(Uid.DEVICE_CONFIGURATION) == b'{"greeting":"hello"}'
    gone = {Uid.STAGED_CERTIFICATE, Uid.PROVISIONING_JOURNAL, Uid.CLAIM_CERTIFICATE}
    assert not gone & set(storage.ps.uids())
    assert storage.keys.keys() == [KEY]


# --- what to connect with ---------------------------------------------------------------


def test_the_claim_is_what_the_station_installed(storage: DeviceStorage) -> None:
    identity = identity_for(storage, Credential.CLAIM)

    assert identity.certificate_pem == CLAIM_PEM
    assert identity.private_key_pem == CLAIM_KEY_PEM


@pytest.mark.parametrize("step", ["staged", "registered"])
def test_a_staged_certificate_is_used_with_its_key(storage: DeviceStorage, step: str) -> None:
    advance_to(storage, step)

    identity = identity_for(storage, Credential.STAGED)

    assert identity.certificate_pem == storage.ps.get(Uid.STAGED_CERTIFICATE)
    assert identity.private_key_pem == key_pem(storage)


def test_a_proven_certificate_is_used_with_its_key(storage: DeviceStorage) -> None:
    advance_to(storage, "proven")

    identity = identity_for(storage, Credential.DEVICE)

    assert identity.certificate_pem == storage.ps.get(Uid.DEVICE_CERTIFICATE)
    assert identity.private_key_pem == key_pem(storage)


def test_a_claim_that_was_never_installed(tmp_path: Path) -> None:
    state = make_device(tmp_path / "other", claim=None)

    with (
        open_device_storage(state) as storage,
        raises(CLAIM_MISSING, match="neither a claim credential"),
    ):
        identity_for(storage, Credential.CLAIM)


def test_a_claim_that_was_destroyed(storage: DeviceStorage) -> None:
    advance_to(storage, "proven")

    with raises(CLAIM_MISSING):
        identity_for(storage, Credential.CLAIM)


@pytest.mark.parametrize(("made", "is_used"), [(None, True), (2040, True), (2060, False)])
def test_a_claim_is_used_unless_it_had_expired_when_the_device_was_made(
    storage: DeviceStorage, made: int | None, *, is_used: bool
) -> None:
    if made is not None:
        set_made_at(storage, datetime(made, 1, 1, tzinfo=UTC))
    expectation = nullcontext() if is_used else raises(CREDENTIAL_UNUSABLE, match="2049")
    with expectation:
        assert InstalledClaim(storage).claim().certificate_pem == CLAIM_PEM


def test_no_identity_to_connect_with(storage: DeviceStorage) -> None:
    with pytest.raises(DataCorruptError, match="no identity"):
        identity_for(storage, Credential.DEVICE)


def test_what_is_used_to_connect_shows_no_key(storage: DeviceStorage) -> None:
    assert "PRIVATE" not in repr(identity_for(storage, Credential.CLAIM))


# --- certificates that the station installed --------------------------------------------


def install(storage: DeviceStorage, pem: bytes, key: ec.EllipticCurvePrivateKey) -> None:
    with storage.transaction():
        storage.keys.import_key(KEY, pem_of(key))
        installed_certificate.save(storage.ps, KEY, pem)


def test_an_installed_certificate_is_found(storage: DeviceStorage) -> None:
    key = new_key()
    leaf = AUTHORITY.issue(key.public_key(), {"common_name": SERIAL})
    install(storage, leaf + AUTHORITY.certificate_pem, key)

    stored = enrolment_of(storage, issuer_pem=AUTHORITY.certificate_pem).stored()

    assert stored == ev.CertificateInstalled(certificate_id(leaf), None, NOW.timestamp())


def test_an_installed_certificate_is_used_with_the_key_that_its_entry_names(
    storage: DeviceStorage,
) -> None:
    name = storage.keys.generate_key(KeyId("made-at-the-station"), KeyType.EC_P256)
    leaf = AUTHORITY.issue(storage.keys.export_public_key(name), {"common_name": SERIAL})
    installed_certificate.save(storage.ps, name, leaf + AUTHORITY.certificate_pem)
    expected = storage.keys.tls_identity(name, leaf + AUTHORITY.certificate_pem)

    assert isinstance(enrolment_of(storage).stored(), ev.CertificateInstalled)
    assert identity_for(storage, Credential.INSTALLED) == expected
    enrolment_of(storage).promote(SERIAL)

    identity = journal.load_identity(storage.ps)
    assert identity is not None
    assert identity.key == name
    assert identity_for(storage, Credential.DEVICE) == expected
    assert Uid.INSTALLED_CERTIFICATE not in storage.ps.uids()


@pytest.mark.parametrize("credential", [Credential.INSTALLED, Credential.STAGED])
def test_a_certificate_whose_key_nothing_names_is_not_used(
    storage: DeviceStorage, credential: Credential
) -> None:
    storage.keys.generate_key(KEY, KeyType.EC_P256)
    storage.ps.set(Uid.STAGED_CERTIFICATE, CLAIM_PEM)

    with pytest.raises(DataCorruptError):
        identity_for(storage, credential)
    with pytest.raises(DataCorruptError):
        enrolment_of(storage).promote(SERIAL)


def test_an_installed_certificate_for_another_key(storage: DeviceStorage) -> None:
    pem = AUTHORITY.issue(new_key().public_key(), {"common_name": SERIAL})
    install(storage, pem, new_key())

    with raises(INSTALLED_CERTIFICATE, match=r"by the station.*another key"):
        enrolment_of(storage).stored()


@pytest.mark.parametrize("days", [-1, 20_000], ids=["behind", "future"])
def test_an_installed_certificate_is_presented_whatever_our_clock_says(
    storage: DeviceStorage, days: int, caplog: pytest.LogCaptureFixture
) -> None:
    key = new_key()
    install(storage, AUTHORITY.issue(key.public_key(), {}), key)
    enrolment = enrolment_of(storage, FakeClock(NOW.timestamp() + days * 86_400.0))

    stored = [enrolment.stored() for _ in range(3)]

    for event in stored:
        assert isinstance(event, ev.CertificateInstalled)
        assert (event.not_before is not None) is (days < 0)
    assert caplog.text.count("this device's clock is behind") == (days < 0), "said once"
