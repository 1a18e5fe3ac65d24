"""Birth certificates in AWS's registry: one a device, for life, under a policy of their own.

With one a device may ask for another certificate when its own is dead (docs/renewal.md). The
common name is that of the device's thing.
"""

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from factory.account.certificates import (
    attached_certificates,
    delete_certificate,
    describe_certificate,
    set_certificate_status,
)
from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, Response, text

POLICY: Final = "firstboot-birth"
POLICY_KIND: Final = "birth policy"
KIND: Final = "birth certificate"


def turn_off_birth_certificates(cloud: Cloud, thing: str) -> list[str]:
    """Set the birth certificates of ``thing`` INACTIVE; return their ids.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    found = []
    for identifier in attached_certificates(cloud, POLICY):
        certificate = describe_certificate(cloud, identifier)
        if _thing_of(certificate) == thing:
            if certificate["status"] == "ACTIVE":
                set_certificate_status(cloud, identifier, "INACTIVE")
            found.append(identifier)
    return found


def remove_birth_certificates(cloud: Cloud) -> Iterator[Change]:
    """Delete them all; yield what became of each.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    for identifier in attached_certificates(cloud, POLICY):
        delete_certificate(cloud, identifier)
        yield Change(KIND, identifier, Outcome.REMOVED)


def _thing_of(certificate: Response) -> str:
    parsed = x509.load_pem_x509_certificate(text(certificate, "certificatePem").encode())
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""
