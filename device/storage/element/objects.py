"""The key pairs inside a secure element: make, find, use and destroy them."""

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from device.errors.element import (
    DUPLICATE_KEY,
    ELEMENT_KEY_MISSING,
    MECHANISM_MISSING,
    TOKEN_FULL,
    CryptokiError,
    KeyNotConfinedError,
)
from device.storage.element.cryptoki import Template
from device.storage.element.cryptoki_codes import Attribute, Mechanism, ObjectClass, ReturnValue
from device.storage.element.secure_element import ElementSession
from device.storage.keys import KeyProof, KeyType, PublicKey

_CURVES: Final[dict[KeyType, tuple[ec.EllipticCurve, bytes]]] = {
    KeyType.EC_P256: (ec.SECP256R1(), bytes.fromhex("06082a8648ce3d030107")),
    KeyType.EC_P384: (ec.SECP384R1(), bytes.fromhex("06052b81040022")),
}
"""Each with its OID in DER, as ``CKA_EC_PARAMS`` wants it."""

_RSA_BITS: Final = 2048
_PROOFS: Final = {
    KeyProof.LOCAL: Attribute.LOCAL,
    KeyProof.NEVER_EXTRACTABLE: Attribute.NEVER_EXTRACTABLE,
    KeyProof.ALWAYS_SENSITIVE: Attribute.ALWAYS_SENSITIVE,
}
_TYPE_REFUSED: Final = frozenset(
    {
        ReturnValue.MECHANISM_INVALID,
        ReturnValue.MECHANISM_PARAM_INVALID,
        ReturnValue.CURVE_NOT_SUPPORTED,
        ReturnValue.DOMAIN_PARAMS_INVALID,
        ReturnValue.KEY_SIZE_RANGE,
    }
)
_FULL: Final = frozenset({ReturnValue.DEVICE_MEMORY, ReturnValue.HOST_MEMORY})


def generate(session: ElementSession, key_type: KeyType, label: str, identifier: bytes) -> None:
    """Make a key pair that the element will not give away.

    Raises:
        MechanismMissingError: the element has no such keys.
        DuplicateKeyError: the label is taken by a key that this device did not make.
        TokenFullError: there is no room.
    """
    check_key_type(session, key_type)
    if _private_keys(session, label):
        raise DUPLICATE_KEY.error(f"the element holds a key {label!r} that is not this device's")
    mechanism, parameters = _generation(key_type)
    names: Template = {Attribute.LABEL: label.encode(), Attribute.ID: identifier}
    public = {Attribute.TOKEN: True, Attribute.VERIFY: True, **names, **parameters}
    private = {
        Attribute.TOKEN: True,
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.SIGN: True,
        **names,
    }
    try:
        session.module.generate_key_pair(session.handle, mechanism, public, private)
    except CryptokiError as error:
        if error.return_value in _FULL:
            raise TOKEN_FULL.error(f"token {session.token.label} has no room for a key") from error
        if error.return_value in _TYPE_REFUSED:
            raise MECHANISM_MISSING.error(key_type=key_type, token=session.token.label) from error
        raise


def check_key_type(session: ElementSession, key_type: KeyType) -> None:
    """Raise unless the element can make keys of this type and use them.

    Raises:
        MechanismMissingError: it cannot.
    """
    is_rsa = key_type is KeyType.RSA_2048
    size = _RSA_BITS if is_rsa else _CURVES[key_type][0].key_size
    signing = Mechanism.RSA_PKCS if is_rsa else Mechanism.ECDSA
    for mechanism in (_generation(key_type)[0], signing):
        sizes = session.module.key_sizes(session.token.slot_id, mechanism)
        if sizes is None or size not in sizes:
            raise MECHANISM_MISSING.error(key_type=key_type, token=session.token.label)


def private_key(session: ElementSession, label: str, identifier: bytes) -> int:
    """Return the handle of the one private key with this label, which has to be ours.

    Raises:
        ElementKeyMissingError: the element has no such key, or another one.
        DuplicateKeyError: there are several; awscrt could not tell them apart.
    """
    found = _private_keys(session, label)
    if len(found) > 1:
        raise DUPLICATE_KEY.error(f"the element holds {len(found)} keys with the label {label!r}")
    if not found:
        raise ELEMENT_KEY_MISSING.error(f"the element holds no key {label!r}")
    if session.module.attribute(session.handle, found[0], Attribute.ID) != identifier:
        raise ELEMENT_KEY_MISSING.error(f"the element's key {label!r} is not this device's key")
    return found[0]


def proofs(session: ElementSession, handle: int) -> tuple[KeyProof, ...]:
    """Return what the element vouches for: all of it.

    Raises:
        KeyNotConfinedError: the key came from outside, or could leave.
    """
    missing = [
        name for name, attribute in _PROOFS.items() if not _holds(session, handle, attribute)
    ]
    if missing:
        raise KeyNotConfinedError(f"the element does not vouch for: {', '.join(missing)}")
    return tuple(_PROOFS)


def public_key(session: ElementSession, key_type: KeyType, identifier: bytes) -> PublicKey:
    """Return the public half, as the element has it now.

    Raises:
        ElementKeyMissingError: it is not there, or not a key of this type.
    """
    template: Template = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: identifier}
    found = session.module.find(session.handle, template)
    if len(found) != 1:
        raise ELEMENT_KEY_MISSING.error(f"the element holds {len(found)} public halves of its key")
    try:
        return _read_public_key(session, found[0], key_type)
    except ValueError as error:
        raise ELEMENT_KEY_MISSING.error(
            f"the key in the element is no {key_type}: {error}"
        ) from None


def destroy(session: ElementSession, identifier: bytes) -> int:
    """Destroy every object with this id; return how many there were."""
    found = session.module.find(session.handle, {Attribute.ID: identifier})
    for handle in found:
        session.module.destroy(session.handle, handle)
    return len(found)


def _generation(key_type: KeyType) -> tuple[Mechanism, Template]:
    if key_type is KeyType.RSA_2048:
        size: Template = {Attribute.MODULUS_BITS: _RSA_BITS, Attribute.PUBLIC_EXPONENT: b"\1\0\1"}
        return Mechanism.RSA_PKCS_KEY_PAIR_GEN, size
    return Mechanism.EC_KEY_PAIR_GEN, {Attribute.EC_PARAMS: _CURVES[key_type][1]}


def _private_keys(session: ElementSession, label: str) -> list[int]:
    template: Template = {
        Attribute.CLASS: ObjectClass.PRIVATE_KEY,
        Attribute.LABEL: label.encode(),
    }
    return session.module.find(session.handle, template)


def _holds(session: ElementSession, handle: int, attribute: Attribute) -> bool:
    try:
        return session.module.attribute(session.handle, handle, attribute) == b"\1"
    except CryptokiError as error:
        if error.return_value == ReturnValue.ATTRIBUTE_TYPE_INVALID:
            return False
        raise


def _read_public_key(session: ElementSession, handle: int, key_type: KeyType) -> PublicKey:
    def value(attribute: Attribute) -> bytes:
        return session.module.attribute(session.handle, handle, attribute)

    if key_type is KeyType.RSA_2048:
        modulus, exponent = value(Attribute.MODULUS), value(Attribute.PUBLIC_EXPONENT)
        numbers = (int.from_bytes(exponent, "big"), int.from_bytes(modulus, "big"))
        return rsa.RSAPublicNumbers(*numbers).public_key()
    curve, _ = _CURVES[key_type]
    size = 1 + 2 * ((curve.key_size + 7) // 8)
    point = value(Attribute.EC_POINT)[-size:]  # some modules wrap it in an OCTET STRING
    return ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
