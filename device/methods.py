"""The methods by what the device begins with, and whether a device was made for the one named."""

from typing import Final

from device.errors import ConfigurationError
from device.storage.device_storage import DeviceStorage
from device.storage.secure_storage import Uid

CLAIM_METHODS: Final = frozenset({"claim", "claim-aws-keys", "trusted-user"})
"""The device asks for its certificate; for the others the station installs one."""

JUST_IN_TIME_METHODS: Final = frozenset({"jitp", "jitr"})


def check_made_for(storage: DeviceStorage, method: str, source: str) -> None:
    """Compare ``method``, which the settings in ``source`` name, with what the device holds.

    Raises:
        ConfigurationError: the device was made, or has begun, in the other way.
    """
    held = storage.ps.uids()
    if Uid.IDENTITY in held:
        return
    has_begun = Uid.PROVISIONING_JOURNAL in held
    by_claim = has_begun or Uid.CLAIM_CERTIFICATE in held
    if method not in CLAIM_METHODS and by_claim:
        problem = f"is {method}, but this device asks for its certificate with a claim"
        step = f"Use the settings that it was made for: one of {', '.join(sorted(CLAIM_METHODS))}."
        raise ConfigurationError(source, "method", problem, step)
    if method in CLAIM_METHODS and Uid.STAGED_CERTIFICATE in held and not has_begun:
        problem = f"is {method}, but the station gave this device a certificate of its own"
        step = "Use the settings of the method that it was made for, such as config/jitp.yaml."
        raise ConfigurationError(source, "method", problem, step)
