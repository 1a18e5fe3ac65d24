"""Whether a device was made for the method that its settings name."""

from device.config.methods import CLAIM_METHODS
from device.errors import ConfigurationError
from device.errors.provisioning import CLAIM_MISSING, NO_CREDENTIAL
from device.lifecycle import journal
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid


def check_made_for(storage: DeviceStorage, method: str, source: str) -> None:
    """Compare ``method``, which the settings in ``source`` name, with what the device holds.

    Raises:
        ConfigurationError: the device was made, has begun, or is provisioned in another way.
        NoCredentialError: the device holds nothing that it could begin with.
    """
    held = storage.ps.uids()
    identity = journal.load_identity(storage.ps)
    if identity is not None:
        _check_provisioned_by(identity.method, method, source)
        return
    by_claim = not {Uid.PROVISIONING_JOURNAL, Uid.CLAIM_CERTIFICATE}.isdisjoint(held)
    if method not in CLAIM_METHODS and by_claim:
        problem = f"is {method}, but this device was made to request its certificate with a claim"
        step = f"Use settings that the device was made for: one of {', '.join(CLAIM_METHODS)}."
        raise ConfigurationError(source, "method", problem, step)
    if method in CLAIM_METHODS and Uid.INSTALLED_CERTIFICATE in held:
        problem = f"is {method}, but the station installed this device's own certificate"
        step = "Use the settings that the device was made for, such as config/jitp.yaml."
        raise ConfigurationError(source, "method", problem, step)
    if method not in CLAIM_METHODS and Uid.INSTALLED_CERTIFICATE not in held:
        raise NO_CREDENTIAL.error()


def check_has_claim(storage: DeviceStorage, method: str) -> None:
    """Check that a device which is to begin with a claim of its own holds one.

    Raises:
        ClaimMissingError: it holds none, and nobody is to hand one over; nothing was changed.
    """
    enough = {Uid.IDENTITY, Uid.STAGED_CERTIFICATE, Uid.CLAIM_CERTIFICATE}
    if method in CLAIM_METHODS and enough.isdisjoint(storage.ps.uids()):
        raise CLAIM_MISSING.error()


def _check_provisioned_by(held: str, method: str, source: str) -> None:
    if method != held:
        problem = f"is {method}, but this device was provisioned by {held}"
        step = f"Use the settings of {held}, or return the device to the station first."
        raise ConfigurationError(source, "method", problem, step)
