"""Does the key store record an element's keys, so that none is lost, left over or made twice?"""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from device.errors import Row
from device.errors.element import (
    DUPLICATE_KEY,
    ELEMENT_KEY_MISSING,
    ELEMENT_NOT_OPEN,
    KEY_MISMATCH,
    MECHANISM_MISSING,
    TOKEN_FULL,
    KeyNotConfinedError,
)
from device.errors.storage import KEY_EXISTS, DoesNotExistError, KeyNotUsableError
from device.identity.csr import build_csr, subject_name
from device.storage.device_storage import DeviceStorage, open_device_storage
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ObjectClass, ReturnValue
from device.storage.element.pkcs11 import Pkcs11KeyStore
from device.storage.keys import (
    CLAIM_KEY,
    KeyId,
    KeyLocation,
    KeyOrigin,
    KeyProof,
    KeyType,
    MemoryIdentity,
    Pkcs11Identity,
)
from device.storage.secure_storage import Uid
from tests.support.certificates import self_signed
from tests.support.errors import raises
from tests.support.fake_element import URI, attach
from tests.support.fake_module import FakeModule
from tests.support.sealed_device import make_device

KEY = KeyId("device-key.1")
SECOND = KeyId("device-key.2")
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)


class PlannedError(Exception):
    pass


def in_vain(storage: DeviceStorage, change: Callable[[], object]) -> None:
    """Make a change in a transaction that is not committed."""

    def transaction() -> None:
        with storage.transaction():
            change()
            raise PlannedError

    with pytest.raises(PlannedError):
        transaction()


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[DeviceStorage]:
    with open_device_storage(make_device(tmp_path)) as storage:
        yield storage


@pytest.fixture
def module() -> FakeModule:
    return FakeModule()


@pytest.fixture
def keys(storage: DeviceStorage, module: FakeModule) -> Pkcs11KeyStore:
    return attach(storage, module)


# --- making -------------------------------------------------------------------------


@pytest.mark.parametrize("key_type", KeyType)
def test_a_generated_key_is_in_the_element_and_vouched_for(
    keys: Pkcs11KeyStore, module: FakeModule, key_type: KeyType
) -> None:
    keys.generate_key(KEY, key_type)

    attributes = keys.get_key_attributes(KEY)
    assert attributes.key_type is key_type
    assert attributes.location is KeyLocation.PRIMARY_SECURE_ELEMENT
    assert attributes.origin is KeyOrigin.GENERATED
    assert not attributes.exportable
    assert attributes.proofs == tuple(KeyProof)
    assert module.labels() == module.labels(ObjectClass.PUBLIC_KEY) == ["device-key.1"]


def test_the_template_asks_for_a_key_that_stays(keys: Pkcs11KeyStore, module: FakeModule) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    made = next(each for each in module.objects.values() if Attribute.SENSITIVE in each)
    assert made[Attribute.SENSITIVE] == made[Attribute.TOKEN] == made[Attribute.PRIVATE] == b"\1"
    assert made[Attribute.EXTRACTABLE] == b"\0"


@pytest.mark.parametrize("key_type", KeyType)
def test_a_csr_by_the_element_verifies(keys: Pkcs11KeyStore, key_type: KeyType) -> None:
    keys.generate_key(KEY, key_type)
    pem = build_csr(keys.private_key(KEY), subject_name({"common_name": "SN-1"}))
    csr = x509.load_pem_x509_csr(pem.encode())
    assert csr.is_signature_valid
    assert csr.public_key() == keys.export_public_key(KEY)


def test_the_uri_names_the_key_and_no_pin(storage: DeviceStorage, module: FakeModule) -> None:
    uri = "pkcs11:token=dev;object=motor?module-path=/fake/module.so&pin-source=/secret/pin"
    keys = attach(storage, module, uri=uri)
    keys.generate_key(KEY, KeyType.EC_P256)
    assert keys.uri(KEY) == (
        "pkcs11:token=dev;object=motor.1;type=private?module-path=/fake/module.so"
    )
    assert module.labels() == ["motor.1"]


def test_a_taken_name_is_refused(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    keys.import_key(CLAIM_KEY, PEM)
    with raises(KEY_EXISTS):
        keys.generate_key(KEY, KeyType.EC_P256)
    with raises(KEY_EXISTS):
        keys.generate_key(CLAIM_KEY, KeyType.EC_P256)
    with raises(KEY_EXISTS):
        keys.import_key(KEY, PEM)


def test_a_label_that_a_stranger_uses_is_refused_and_left_alone(
    keys: Pkcs11KeyStore, storage: DeviceStorage, module: FakeModule, tmp_path: Path
) -> None:
    with open_device_storage(make_device(tmp_path / "other")) as other:
        attach(other, module).generate_key(KEY, KeyType.EC_P256)
    before = dict(module.objects)
    with raises(DUPLICATE_KEY, match="that is not this device"):
        keys.generate_key(KEY, KeyType.EC_P256)
    keys.recover()
    assert module.objects == before
    assert keys.keys() == []


@pytest.mark.parametrize(
    "gone", [Mechanism.EC_KEY_PAIR_GEN, Mechanism.ECDSA], ids=["making", "signing"]
)
def test_a_missing_mechanism_is_said_before_a_key_is_made(
    keys: Pkcs11KeyStore, module: FakeModule, gone: Mechanism
) -> None:
    del module.mechanisms[gone]
    with raises(MECHANISM_MISSING, match="ec-p256"):
        keys.generate_key(KEY, KeyType.EC_P256)
    assert module.objects == {}


def test_a_key_that_is_too_long_for_the_element(keys: Pkcs11KeyStore, module: FakeModule) -> None:
    module.mechanisms[Mechanism.EC_KEY_PAIR_GEN] = range(256, 257)
    keys.generate_key(KEY, KeyType.EC_P256)
    with raises(MECHANISM_MISSING, match="ec-p384"):
        keys.generate_key(SECOND, KeyType.EC_P384)


def test_a_profile_knows_what_its_element_cannot(
    storage: DeviceStorage, module: FakeModule
) -> None:
    module.maker = "Microchip Technology Inc"
    with raises(MECHANISM_MISSING, match="cryptoauthlib cannot make and use ec-p384"):
        attach(storage, module).generate_key(KEY, KeyType.EC_P384)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ReturnValue.DEVICE_MEMORY, TOKEN_FULL),
        (ReturnValue.HOST_MEMORY, TOKEN_FULL),
        (ReturnValue.CURVE_NOT_SUPPORTED, MECHANISM_MISSING),
        (ReturnValue.DOMAIN_PARAMS_INVALID, MECHANISM_MISSING),
    ],
)
def test_a_generation_that_the_element_refuses(
    keys: Pkcs11KeyStore, module: FakeModule, code: ReturnValue, expected: Row
) -> None:
    module.fail("C_GenerateKeyPair", code)
    with raises(expected):
        keys.generate_key(KEY, KeyType.EC_P256)
    assert keys.keys() == []


@pytest.mark.parametrize(
    "attribute", [Attribute.LOCAL, Attribute.NEVER_EXTRACTABLE, Attribute.ALWAYS_SENSITIVE]
)
@pytest.mark.parametrize("value", [b"\0", None], ids=["denied", "unknown"])
def test_a_key_that_the_element_does_not_vouch_for_is_destroyed(
    keys: Pkcs11KeyStore, module: FakeModule, attribute: Attribute, value: bytes | None
) -> None:
    module.vouches[attribute] = value
    with pytest.raises(KeyNotConfinedError, match=attribute.name.lower().replace("_", "-")):
        keys.generate_key(KEY, KeyType.EC_P256)
    assert module.objects == {}
    assert keys.keys() == []


def test_a_session_lost_while_generating_leaves_one_key(
    keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    module.fail("C_GetAttributeValue", ReturnValue.SESSION_HANDLE_INVALID)  # the pair is made then
    keys.generate_key(SECOND, KeyType.EC_P256)
    assert module.labels() == ["device-key.1", "device-key.2"]


def test_generating_needs_a_reserved_id(storage: DeviceStorage, keys: Pkcs11KeyStore) -> None:
    """Without one, a cut would leave a key that nobody knows."""
    storage.ps.remove(Uid.ELEMENT_KEYS)
    with pytest.raises(RuntimeError):
        keys.generate_key(KEY, KeyType.EC_P256)


# --- transactions -------------------------------------------------------------------


def test_a_generation_that_was_not_committed_leaves_nothing(
    storage: DeviceStorage, keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    in_vain(storage, lambda: keys.generate_key(KEY, KeyType.EC_P256))
    assert keys.keys() == []
    keys.recover()
    assert module.objects == {}


def test_the_next_generation_clears_what_the_last_left(
    storage: DeviceStorage, keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    in_vain(storage, lambda: keys.generate_key(KEY, KeyType.EC_P256))
    keys.generate_key(KEY, KeyType.EC_P384)
    assert module.labels() == ["device-key.1"]
    assert keys.get_key_attributes(KEY).key_type is KeyType.EC_P384


def test_a_key_is_destroyed_in_the_element_after_the_commit(
    storage: DeviceStorage, keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    with storage.transaction():
        keys.destroy_key(KEY)
        assert keys.keys() == []
        assert module.labels() == ["device-key.1"], "the commit may still fail"
    assert module.objects == {}


def test_a_destruction_that_was_not_committed_destroys_nothing(
    storage: DeviceStorage, keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    in_vain(storage, lambda: keys.destroy_key(KEY))
    with storage.transaction():
        keys.import_key(CLAIM_KEY, PEM)
    assert keys.keys() == [CLAIM_KEY, KEY]
    assert module.labels() == ["device-key.1"]


def test_a_destruction_that_the_element_slept_through_is_made_up_for(
    storage: DeviceStorage, keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    module.fail("C_FindObjects", *[ReturnValue.DEVICE_REMOVED] * 2)
    keys.destroy_key(KEY)
    assert keys.keys() == []
    assert module.labels() == ["device-key.1"]

    attach(storage, module)

    assert module.objects == {}


def test_a_device_is_reset_without_its_element(tmp_path: Path, module: FakeModule) -> None:
    state = make_device(tmp_path)
    with open_device_storage(state) as storage:
        attach(storage, module).generate_key(KEY, KeyType.EC_P256)
    with open_device_storage(state) as storage:
        storage.keys.destroy_key(KEY)
        assert storage.keys.keys() == []
    with open_device_storage(state) as storage:
        attach(storage, module)
    assert module.objects == {}


# --- using --------------------------------------------------------------------------


def test_imported_keys_are_software_keys_and_say_so(
    keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.import_key(CLAIM_KEY, PEM)
    attributes = keys.get_key_attributes(CLAIM_KEY)
    assert attributes.location is KeyLocation.LOCAL_STORAGE
    assert attributes.origin is KeyOrigin.IMPORTED
    assert keys.uri(CLAIM_KEY) == "sealed:claim-key"
    assert keys.private_key(CLAIM_KEY).public_key() == keys.export_public_key(CLAIM_KEY)
    assert isinstance(keys.tls_identity(CLAIM_KEY, b"pem"), MemoryIdentity)
    assert module.objects == {}
    keys.destroy_key(CLAIM_KEY)
    assert keys.keys() == []


@pytest.mark.parametrize("verb", ["get_key_attributes", "export_public_key", "private_key", "uri"])
def test_a_key_that_does_not_exist(keys: Pkcs11KeyStore, verb: str) -> None:
    if verb == "uri":
        assert keys.uri(KEY) == "sealed:device-key.1"
        return
    with pytest.raises(DoesNotExistError):
        getattr(keys, verb)(KEY)


def test_an_ec_key_signs_and_does_nothing_else(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    key = keys.private_key(KEY)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    signature = key.sign(b"data", ec.ECDSA(hashes.SHA256()))
    key.public_key().verify(signature, b"data", ec.ECDSA(hashes.SHA256()))
    with pytest.raises(InvalidSignature):
        key.public_key().verify(signature, b"other", ec.ECDSA(hashes.SHA256()))
    assert (key.curve.name, key.key_size) == ("secp256r1", 256)
    assert copy.copy(key) is copy.deepcopy(key) is key
    with pytest.raises(KeyNotUsableError, match="never leaves"):
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(KeyNotUsableError):
        key.private_numbers()
    with pytest.raises(KeyNotUsableError):
        key.exchange(ec.ECDH(), key.public_key())


def test_an_ec_key_signs_a_digest(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    key = keys.private_key(KEY)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    algorithm = ec.ECDSA(utils.Prehashed(hashes.SHA256()))
    key.public_key().verify(key.sign(bytes(32), algorithm), bytes(32), algorithm)


def test_an_rsa_key_signs_with_pkcs1_and_sha2_only(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.RSA_2048)
    key = keys.private_key(KEY)
    assert isinstance(key, rsa.RSAPrivateKey)
    signature = key.sign(b"data", padding.PKCS1v15(), hashes.SHA256())
    key.public_key().verify(signature, b"data", padding.PKCS1v15(), hashes.SHA256())
    assert key.key_size == 2048
    with pytest.raises(KeyNotUsableError, match="padding"):
        key.sign(b"data", padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    with pytest.raises(KeyNotUsableError, match="SHA-256"):
        key.sign(b"data", padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - it has to be refused
    with pytest.raises(KeyNotUsableError):
        key.decrypt(b"", padding.PKCS1v15())


def test_tls_gets_slot_label_and_pin_but_shows_no_pin(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    certificate = self_signed(keys.private_key(KEY))
    identity = keys.tls_identity(KEY, certificate)
    assert identity == Pkcs11Identity(
        certificate, Path("/fake/module.so"), 7, "device-key.1", "1234", tls13=False
    )
    assert "1234" not in repr(identity)


@pytest.mark.parametrize(
    ("key_type", "allowed"), [(KeyType.EC_P256, True), (KeyType.RSA_2048, False)]
)
def test_tls_13_is_for_ec_keys_that_were_opted_in(
    storage: DeviceStorage, module: FakeModule, key_type: KeyType, allowed: bool
) -> None:
    keys = attach(storage, module, tls13=True)
    keys.generate_key(KEY, key_type)
    identity = keys.tls_identity(KEY, self_signed(keys.private_key(KEY)))
    assert isinstance(identity, Pkcs11Identity)
    assert identity.tls13 is allowed


def test_a_certificate_of_another_key_is_refused_before_connecting(keys: Pkcs11KeyStore) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    stranger = self_signed(ec.generate_private_key(ec.SECP256R1()))
    with raises(KEY_MISMATCH, match="certificate does not belong to the key"):
        keys.tls_identity(KEY, stranger)


def test_a_key_that_was_exchanged_in_the_element_is_noticed(
    keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    keys.generate_key(SECOND, KeyType.EC_P256)
    certificate = self_signed(keys.private_key(KEY))
    public = [each for each in module.objects.values() if Attribute.EC_POINT in each]
    public[0][Attribute.EC_POINT] = public[1][Attribute.EC_POINT]
    with raises(KEY_MISMATCH, match="not the key that the device made"):
        keys.tls_identity(KEY, certificate)


def test_a_key_that_is_gone_from_the_element(keys: Pkcs11KeyStore, module: FakeModule) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    certificate = self_signed(keys.private_key(KEY))
    module.objects.clear()
    with raises(ELEMENT_KEY_MISSING, match=r"no key .device-key\.1"):
        keys.tls_identity(KEY, certificate)
    with raises(ELEMENT_KEY_MISSING):
        self_signed(keys.private_key(KEY))


def test_another_key_under_the_label_is_not_taken_for_ours(
    keys: Pkcs11KeyStore, module: FakeModule
) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    for each in module.objects.values():
        each[Attribute.ID] = b"someone else"
    with raises(ELEMENT_KEY_MISSING, match="not this device"):
        self_signed(keys.private_key(KEY))


def test_two_keys_of_one_label_are_refused(keys: Pkcs11KeyStore, module: FakeModule) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    certificate = self_signed(keys.private_key(KEY))
    module.objects |= {handle + 1000: dict(each) for handle, each in module.objects.items()}
    with raises(DUPLICATE_KEY, match=r"2 keys with the label .device-key\.1"):
        keys.tls_identity(KEY, certificate)


def test_a_lost_session_does_not_lose_a_signature(keys: Pkcs11KeyStore, module: FakeModule) -> None:
    keys.generate_key(KEY, KeyType.EC_P256)
    key = keys.private_key(KEY)
    module.lose_sessions()
    self_signed(key)


def test_without_the_element_keys_can_be_named_but_not_used(
    tmp_path: Path, module: FakeModule
) -> None:
    state = make_device(tmp_path)
    with open_device_storage(state) as storage:
        attach(storage, module).generate_key(KEY, KeyType.EC_P256)
    with open_device_storage(state, read_only=True) as storage:
        assert storage.keys.keys() == [KEY]
        assert storage.keys.get_key_attributes(KEY).proofs == tuple(KeyProof)
        storage.keys.export_public_key(KEY)
        with raises(ELEMENT_NOT_OPEN):
            storage.keys.private_key(KEY)


# --- keys that the station made in the element ---------------------------------------


STATION_URI = "pkcs11:token=dev;object=PIV%20key;id=%01?module-path=/fake/module.so"


@pytest.fixture
def station_key(module: FakeModule, storage: DeviceStorage) -> None:
    """A key in a fixed place, made with means that the device does not have."""
    session = module.open_session(7)
    names = {Attribute.LABEL: b"PIV key", Attribute.ID: b"\1"}
    curve = bytes.fromhex("06082a8648ce3d030107")
    public = {**names, Attribute.EC_PARAMS: curve}
    module.generate_key_pair(session, Mechanism.EC_KEY_PAIR_GEN, public, names)


def test_a_key_with_an_id_in_the_uri_is_adopted(
    storage: DeviceStorage, module: FakeModule, station_key: None
) -> None:
    keys = attach(storage, module, uri=STATION_URI)
    keys.generate_key(KEY, KeyType.EC_P256)
    assert module.calls["C_GenerateKeyPair"] == 1, "the station's"
    assert keys.uri(KEY) == (
        "pkcs11:token=dev;object=PIV%20key;id=%01;type=private?module-path=/fake/module.so"
    )
    self_signed(keys.private_key(KEY))


def test_an_adopted_key_is_not_destroyed(
    storage: DeviceStorage, module: FakeModule, station_key: None
) -> None:
    keys = attach(storage, module, uri=STATION_URI)
    keys.generate_key(KEY, KeyType.EC_P256)
    keys.destroy_key(KEY)
    keys.recover()
    assert keys.keys() == []
    assert module.labels() == ["PIV key"]


def test_a_key_of_another_type_is_not_adopted(
    storage: DeviceStorage, module: FakeModule, station_key: None
) -> None:
    keys = attach(storage, module, uri=STATION_URI)
    with raises(ELEMENT_KEY_MISSING, match="no ec-p384"):
        keys.generate_key(KEY, KeyType.EC_P384)


def test_the_key_to_adopt_has_to_be_there(storage: DeviceStorage, module: FakeModule) -> None:
    keys = attach(storage, module, uri=STATION_URI)
    with raises(ELEMENT_KEY_MISSING):
        keys.generate_key(KEY, KeyType.EC_P256)


def test_the_same_element_serves_a_later_start(tmp_path: Path, module: FakeModule) -> None:
    state = make_device(tmp_path)
    with open_device_storage(state) as storage:
        attach(storage, module).generate_key(KEY, KeyType.EC_P256)
        generation = storage.generation
    module.lose_sessions()
    with open_device_storage(state) as storage:
        keys = attach(storage, module, uri=URI)
        self_signed(keys.private_key(KEY))
        assert storage.generation == generation, "a start writes nothing"
