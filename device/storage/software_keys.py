"""Private keys in software: made, read and written by cryptography.

Its own page because it loads 6 ms and 1 MiB of cryptography, which a device at work never needs.
"""

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from device.errors.storage import KeyNotUsableError
from device.storage.decoding import UNDECODABLE, decoding
from device.storage.keys import KeyType, PrivateKey


def generated(key_type: KeyType) -> PrivateKey:
    """Return a new key."""
    match key_type:
        case KeyType.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyType.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyType.RSA_2048:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def parsed(pem: bytes) -> PrivateKey:
    """Read a PEM; what it holds never shows in an error.

    Raises:
        KeyNotUsableError: it is no private key, or none that a device can use.
    """
    try:
        private_key = load_pem_private_key(pem, password=None)
    except TypeError:
        raise KeyNotUsableError("the key is encrypted: decrypt it first") from None
    except UNDECODABLE:
        raise KeyNotUsableError("not a private key in PEM (PKCS#8, SEC1 or PKCS#1)") from None
    return supported(private_key)[1]


def supported(private_key: object) -> tuple[KeyType, PrivateKey]:
    """Return the key with its type, or refuse it by the name of what it is.

    Raises:
        KeyNotUsableError: its kind is not supported.
    """
    match private_key:
        case ec.EllipticCurvePrivateKey(curve=ec.SECP256R1()):
            return KeyType.EC_P256, private_key
        case ec.EllipticCurvePrivateKey(curve=ec.SECP384R1()):
            return KeyType.EC_P384, private_key
        case rsa.RSAPrivateKey(key_size=2048):
            return KeyType.RSA_2048, private_key
        case ec.EllipticCurvePrivateKey(curve=curve):
            name = f"EC {curve.name}"
        case rsa.RSAPrivateKey(key_size=size):
            name = f"RSA-{size}"
        case _:
            name = type(private_key).__name__.removesuffix("PrivateKey")
    raise KeyNotUsableError(f"{name} keys are not supported; use one of {', '.join(KeyType)}")


def read(pkcs8: bytes, what: str) -> PrivateKey:
    """Return the key that is stored as ``what``.

    Raises:
        DataCorruptError: it cannot be read.
    """
    with decoding(what):
        private_key = load_der_private_key(pkcs8, password=None)
    return supported(private_key)[1]


def written(private_key: PrivateKey) -> bytes:
    """Return the key as PKCS#8 DER."""
    return private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
