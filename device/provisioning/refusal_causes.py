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

_TEMPLATE: Final = (
    "The template is missing or disabled, or could not be applied: look at its role (may it do "
    "what the template asks?), policy, thing type and groups."
)
_REFUSED: Final = (
    "The Lambda refused it: the serial number is not on the allow-list, or another certificate has "
    "taken it (then this one is INACTIVE)"
    "."
)
_TURNED_OFF: Final = "The certificate was set INACTIVE or REVOKED."

_CAUSES: Final[Mapping[str, tuple[str, ...]]] = {
    "jitp": (
        _CA,
        "Its subject lacks a field that the template's Parameters need and give no Default.",
        _TEMPLATE,
        "A thing of this name exists, and OverrideSettings say FAIL.",
        _TURNED_OFF,
    ),
    "jitr": (
        _CA,
        _REFUSED,
        "The topic rule or its Lambda is missing, disabled, failing, or not allowed to be invoked.",
        _POLICY,
        _TURNED_OFF,
    ),
    "multi-account": (
        "It is not registered in the account and Region of this endpoint.",
        "It is registered there, but not ACTIVE.",
        _POLICY,
        "The endpoint is an address, but SNI chooses the account: use its endpoint name.",
    ),
}
_EXPIRED: Final = "It has expired, or is not valid yet."
_PREREGISTERED: Final = (
    "It is registered, but not ACTIVE: the template or the station left it INACTIVE.",
    "It was never registered: the line of the bulk file, or the call of the station, failed.",
    _POLICY,
    _PLACE,
    _EXPIRED,
)


def refusal_causes(method: str) -> tuple[str, ...]:
    """Return the likely causes of a refusal under ``method``, the likeliest first."""
    return _CAUSES.get(method, _PREREGISTERED)


def advice_on(certificate_id: str, *, just_in_time: bool) -> str:
    """Return how to find out which cause it is, and how a certificate gets a second chance.

    AWS IoT applies a template, and calls for a decision, when it registers a certificate. One
    that was turned down stays as it is until it is deleted; then the next connection is a first
    one again. (Developer guide, "Just-in-time provisioning"; API reference, DeleteCertificate.)
    """
    look = f"To see its status: aws iot describe-certificate --certificate-id {certificate_id}"
    if not just_in_time:
        return f"{look}."
    return (
        f"{look}. AWS IoT decides only once. If it is there, correct the cause, delete it (aws iot "
        f"delete-certificate --certificate-id {certificate_id}) and boot again."
    )
