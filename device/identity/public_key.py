"""A public key as the bytes by which keys are compared, fingerprinted and stored."""

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def spki(key: PublicKeyTypes) -> bytes:
    """Return the key as DER, SubjectPublicKeyInfo (RFC 5280, 4.1.2.7)."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
