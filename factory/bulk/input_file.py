"""The file that AWS reads: one JSON object a line, the template's parameters for one device."""

import json
from hashlib import sha256

from cryptography import x509

from device.identity.public_key import spki
from device.storage.keys import PublicKey
from factory.errors import CSR_UNACCEPTABLE
from factory.making.unfinished_device import UnfinishedDevice


def checked_csr(device: UnfinishedDevice) -> str:
    """Return the CSR of ``device`` after proof that it has the private key (RFC 2986).

    AWS would refuse a bad one as well, but only after the whole batch has been sent.

    Raises:
        CsrUnacceptableError: it is not signed by its own key, or is for another key or subject.
    """
    pem = device.csr()
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        is_signed = csr.is_signature_valid
    except ValueError as error:
        raise CSR_UNACCEPTABLE.error(f"the device's CSR cannot be read: {error}") from error
    if not is_signed:
        raise CSR_UNACCEPTABLE.error("the CSR is not signed by its own key")
    if (csr.public_key(), csr.subject) != (device.public_key, device.subject):
        raise CSR_UNACCEPTABLE.error("the CSR is for another key or subject than the device's")
    return pem


def parameters_line(serial_number: str, csr_pem: str) -> bytes:
    """Return the line of one device, with the parameters of ``firstboot-bulk``."""
    return json.dumps({"SerialNumber": serial_number, "CSR": csr_pem}).encode() + b"\n"


def fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo), in hex."""
    return sha256(spki(key)).hexdigest()
