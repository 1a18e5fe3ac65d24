"""What a renewal adds to the events and orders of provisioning."""

from device.provisioning.actions import Action
from device.provisioning.events import Event

# --- facts --------------------------------------------------------------------------------


class RetirementFound(Event, frozen=True):
    """The cloud has not said yet that it retired this certificate of ours."""

    certificate_id: str


class NothingLeft(Event, frozen=True):
    """No step of a renewal remains to be done."""


class RolledBack(Event, frozen=True):
    """The new key, and its certificate if there was one, are gone; the old ones stay in use."""


class HandedOver(Event, frozen=True):
    """Nobody uses the old certificate any more."""


class RenewalConfirmed(Event, frozen=True):
    """The cloud saw a message that was sent with the new certificate, and agrees to it."""

    certificate_id: str


class OtherCertificateConfirmed(Event, frozen=True):
    """The cloud saw another certificate than the new one."""

    expected: str
    seen: str


class RenewalRefused(Event, frozen=True):
    """The cloud saw the new certificate, and says why it is not to be used."""

    reason: str


class CertificateRetired(Event, frozen=True):
    """The certificate is not ACTIVE for this thing any more."""

    certificate_id: str


# --- orders -------------------------------------------------------------------------------


class RollBack(Action, frozen=True):
    """Destroy the new key, forget its certificate but for the id; report `RolledBack`."""

    is_unregistered: bool = False
    """Whether the cloud said that it does not register the certificate: nobody can retire it."""


class HandOver(Action, frozen=True):
    """Let what uses the old certificate change to the new one; report `HandedOver`."""


class RecordRetired(Action, frozen=True):
    """Forget the id of a certificate that the cloud retired, durably."""

    certificate_id: str


class LookAgain(Action, frozen=True):
    """Report what is stored, as after a power cut."""
