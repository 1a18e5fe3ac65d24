"""What decides when a device renews by itself: its identity, its settings, and its clock."""

from device.operation.renewal_due import CertificateLife
from device.runtime.journal import Identity


def life_of(identity: Identity) -> CertificateLife:
    """Return what counts of the identity's certificate."""
    return CertificateLife(
        identity.certificate_id, identity.not_before, identity.not_after, identity.promoted_at
    )
