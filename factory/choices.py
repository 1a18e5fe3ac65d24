"""What the person at the station may choose when a method is prepared."""

from dataclasses import dataclass
from enum import StrEnum


class CertificateMode(StrEnum):
    """How a CA is registered (AWS IoT API reference, RegisterCACertificate)."""

    DEFAULT = "DEFAULT"
    """In one account of a Region, after proof that its key is ours."""
    SNI_ONLY = "SNI_ONLY"
    """In any number of accounts, without proof; devices must send SNI."""


@dataclass(frozen=True)
class Choices:
    """What ``factory prepare`` was asked for; each method heeds what concerns it."""

    certificate_mode: CertificateMode = CertificateMode.DEFAULT
    inline_template: bool = False
    """Give the CA the template itself, not its name."""
    hook: bool = False
    """Check serial number and proof of each device before it is provisioned."""


DEFAULT_CHOICES = Choices()
