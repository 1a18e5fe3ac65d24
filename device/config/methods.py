"""The provisioning methods: one row for each, and every other list of them is made from it.

A new method is: a row here, a machine in ``device.provisioning`` if none fits, a module in
``factory.methods``, a settings file in ``config/``, and a page in ``docs/``.
``tests/unit/test_methods.py`` checks that each row has them. Standard library only, because
``scripts/demo --help`` reads this before anything is installed.

Sources for the causes of refusal: AWS IoT Core Developer Guide, "Just-in-time provisioning",
"Just-in-time registration", "Multi-account registration", "Diagnosing connectivity issues".
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from msgspec import Struct


class Credential(Enum):
    """What a device holds before its first connection; the value is for people."""

    CLAIM = "a claim certificate that the station installed"
    HANDED_CLAIM = "a claim that a trusted user hands over"
    LEAF = "a certificate that the station's CA signed"
    ISSUED = "a certificate that AWS IoT issued to the station"


class KeyMaker(Enum):
    """Who makes the key of the device's certificate."""

    DEVICE = "device"
    AWS = "AWS"


class MachineKind(Enum):
    """The state machine that takes the device through its first boot."""

    CLAIM = "claim"
    """``device.provisioning.claim``: the device asks for its certificate."""
    PRESENTED = "presented"
    """``device.provisioning.presented``: the device presents the one that it holds."""


class Method(Struct, frozen=True):
    """A row: what the device and the station must know of a method."""

    name: str
    title: str
    """What people call it."""
    machine: MachineKind
    begins_with: Credential
    settings_file: str
    """Its name in ``config/``."""
    key_made_by: KeyMaker = KeyMaker.DEVICE
    just_in_time: bool = False
    """Whether AWS IoT refuses the first connection, and learns of the device from it."""
    refusal_causes: tuple[str, ...] = ()
    """Why AWS IoT may refuse the certificate, the likeliest first; it never says which."""


_POLICY: Final = (
    "No policy that allows iot:Connect for this client id (the thing name) is attached."
)
_CA: Final = (
    "The CA that signed it directly is not registered here, not ACTIVE, or its auto-registration "
    "is off."
)
_TURNED_OFF: Final = "The certificate was set INACTIVE or REVOKED."
_TEMPLATE: Final = (
    "The template is missing or disabled, or could not be applied: look at its role (may it do "
    "what the template asks?), policy, thing type and groups."
)
_LAMBDA: Final = (
    "The Lambda refused it: the serial number is not on the allow-list, or another certificate has "
    "taken it (then this one is INACTIVE)."
)
_JITP: Final = (
    _CA,
    "Its subject lacks a field that the template's Parameters need and give no Default.",
    _TEMPLATE,
    "A thing of this name exists, and OverrideSettings say FAIL.",
    _TURNED_OFF,
)
_JITR: Final = (
    _CA,
    _LAMBDA,
    "The topic rule or its Lambda is missing, disabled, failing, or not allowed to be invoked.",
    _POLICY,
    _TURNED_OFF,
)
_MULTI_ACCOUNT: Final = (
    "It is not registered in the account and Region of this endpoint.",
    "It is registered there, but not ACTIVE.",
    _POLICY,
    "The endpoint is an address, but SNI chooses the account: use the account's own endpoint name.",
)
_REGISTERED: Final = (
    "It is registered, but not ACTIVE: the template or the station left it INACTIVE.",
    "It was never registered: the line of the bulk file, or the call of the station, failed.",
    _POLICY,
    "It is registered in another account or Region than the endpoint's.",
    "It has expired, or is not valid yet.",
)

_ROWS: Final = (
    Method("claim", "by claim", MachineKind.CLAIM, Credential.CLAIM, "claim.yaml"),
    Method(
        "claim-aws-keys", "by claim, with AWS's keys", MachineKind.CLAIM, Credential.CLAIM,
        "claim.yaml", key_made_by=KeyMaker.AWS,
    ),
    Method(
        "claim-own-ca", "by claim, with your own CA", MachineKind.CLAIM, Credential.CLAIM,
        "claim-own-ca.yaml",
    ),
    Method(
        "trusted-user", "by trusted user", MachineKind.CLAIM, Credential.HANDED_CLAIM,
        "trusted-user.yaml",
    ),
    Method(
        "jitp", "just-in-time provisioning", MachineKind.PRESENTED, Credential.LEAF,
        "jitp.yaml", just_in_time=True, refusal_causes=_JITP,
    ),
    Method(
        "jitr", "just-in-time registration", MachineKind.PRESENTED, Credential.LEAF,
        "jitr.yaml", just_in_time=True, refusal_causes=_JITR,
    ),
    Method(
        "multi-account", "multi-account registration", MachineKind.PRESENTED, Credential.LEAF,
        "multi-account.yaml", refusal_causes=_MULTI_ACCOUNT,
    ),
    Method(
        "bulk", "bulk registration", MachineKind.PRESENTED, Credential.ISSUED,
        "bulk.yaml", refusal_causes=_REGISTERED,
    ),
    Method(
        "single-thing", "single thing", MachineKind.PRESENTED, Credential.ISSUED,
        "single-thing.yaml", refusal_causes=_REGISTERED,
    ),
)  # fmt: skip

METHODS: Final[Mapping[str, Method]] = {method.name: method for method in _ROWS}

CLAIM_METHODS: Final = tuple(
    name for name, method in METHODS.items() if method.machine is MachineKind.CLAIM
)
"""The device asks for its certificate."""

PRESENTED_METHODS: Final = tuple(name for name in METHODS if name not in CLAIM_METHODS)
"""The station installs the device's certificate."""

JUST_IN_TIME_METHODS: Final = tuple(name for name, method in METHODS.items() if method.just_in_time)
"""AWS IoT learns of the device from its first connection, which it refuses."""
