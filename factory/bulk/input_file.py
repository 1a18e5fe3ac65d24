"""The file that AWS reads: one JSON object a line, the template's parameters for one device."""

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from cryptography import x509

from device.identity.public_key import spki
from device.storage.keys import PublicKey
from factory.errors import CSR_UNACCEPTABLE, SERIAL_NUMBERS
from factory.making.unfinished_device import UnfinishedDevice
from factory.station.serial_list import Row

_GIVEN: Final = frozenset({"SerialNumber", "CSR"})
"""Parameters that the station fills in for each device."""


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


def parameters_line(
    serial_number: str, csr_pem: str, attributes: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Return the line of one device: the parameters of ``firstboot-bulk``, and more of them."""
    parameters = {**attributes, "SerialNumber": serial_number, "CSR": csr_pem}
    return json.dumps(parameters).encode() + b"\n"


def fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of a public key (SubjectPublicKeyInfo), in hex."""
    return sha256(spki(key)).hexdigest()


def check_columns(rows: Iterable[Row], template: str, name: str) -> None:
    """Refuse a column that ``template`` has no parameter for, and a parameter without a value.

    Raises:
        SerialNumbersError: there is one; AWS would refuse every device of the batch.
    """
    parameters = json.loads(template).get("Parameters", {})
    needed = {each for each, declared in parameters.items() if "Default" not in declared} - _GIVEN
    for row in rows:
        given = {column for column, _ in row.values}
        for column in sorted(given - (parameters.keys() - _GIVEN)):
            known = ", ".join(sorted(parameters.keys() - _GIVEN)) or "none"
            problem = f"column {column}: the template {name} has no such parameter (known: {known})"
            raise SERIAL_NUMBERS.error(
                problem, next_step="Leave the column out, or give a template: --template FILE"
            )
        if missing := sorted(needed - given):
            problem = f"{row.serial_number} has no {missing[0]}, which the template {name} needs"
            raise SERIAL_NUMBERS.error(problem, next_step=f"Add the column {missing[0]}.")
