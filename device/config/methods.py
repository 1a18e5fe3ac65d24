"""The provisioning methods, by what the device begins with."""

from typing import Final

CLAIM_METHODS: Final = frozenset({"claim", "claim-aws-keys", "claim-own-ca", "trusted-user"})
"""The device asks for its certificate; for the others the station installs one."""

JUST_IN_TIME_METHODS: Final = frozenset({"jitp", "jitr"})
