"""The provisioning methods at the station: what each needs in the cloud and in a new device.

One module a method. ``claim-aws-keys`` differs from ``claim`` in what the device asks for
after it has connected, so cloud and device are prepared in the same way.
"""

from collections.abc import Mapping
from typing import Final

from factory.methods.bulk import Bulk
from factory.methods.claim import Claim
from factory.methods.claim_own_ca import ClaimOwnCa
from factory.methods.jitp import JustInTimeProvisioning
from factory.methods.jitr import JustInTimeRegistration
from factory.methods.method import Method
from factory.methods.multi_account import MultiAccount
from factory.methods.single_thing import SingleThing
from factory.methods.trusted_user import TrustedUser

_CLAIM: Final = Claim()

METHODS: Final[Mapping[str, Method]] = {
    "claim": _CLAIM,
    "claim-aws-keys": _CLAIM,
    "claim-own-ca": ClaimOwnCa(),
    "trusted-user": TrustedUser(),
    "jitp": JustInTimeProvisioning(),
    "jitr": JustInTimeRegistration(),
    "multi-account": MultiAccount(),
    "bulk": Bulk(),
    "single-thing": SingleThing(),
}
"""By the names of ``device.config.methods``."""
