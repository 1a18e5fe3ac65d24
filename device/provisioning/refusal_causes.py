"""Why AWS IoT may refuse a certificate, by method, in order of likelihood.

AWS IoT closes the socket without a word; only the method in use says what it may mean.
Sources: AWS IoT Core Developer Guide, "Just-in-time provisioning", "Just-in-time
registration", "Multi-account registration", "Diagnosing connectivity issues".
"""

from collections.abc import Mapping
from typing import Final

_POLICY: Final = (
    "No policy that allows iot:Connect for this client id (the thing name) is attached."
)
_PLACE: Final = "It is registered in another account or Region than the endpoint's."

_CA: Final = (
    "The CA that signed it directly is not registered here, not ACTIVE, or its auto-registration "
    "is off."
)

_CAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "jitp": (
        _CA,
        "Its subject lacks a field that the template's Parameters name, without a Default.",
        "The template could not be applied: its role, policy, thing type or groups.",
        "A thing of this name exists, and OverrideSettings say FAIL.",
        "The certificate was set INACTIVE or REVOKED.",
    ),
    "jitr": (
        _CA,
        "The Lambda refused it: the serial number is not on the allow-list (it is INACTIVE then).",
        "The topic rule or its Lambda is missing, disabled, failing, or not allowed to be invoked.",
        _POLICY,
    ),
    "multi-account": (
        "It is not registered in the account and Region of this endpoint.",
        "It is registered there, but not ACTIVE.",
        _POLICY,
        "The endpoint is not a name (SNI chooses the account): use the account's own endpoint.",
    ),
}
_PREREGISTERED: Final = (
    "It is registered, but not ACTIVE: the template or the station left it INACTIVE.",
    "It was never registered: the line of the bulk file, or the call of the station, failed.",
    _POLICY,
    _PLACE,
)


def refusal_causes(method: str) -> tuple[str, ...]:
    """Return the likely causes of a refusal under ``method``, the likeliest first."""
    return _CAUSES.get(method, _PREREGISTERED)
