"""Is a host name the data endpoint of an AWS account, or another of AWS's endpoints?

Sources: AWS IoT API reference, DescribeEndpoint; AWS IoT Core Developer Guide, "Connecting
devices to AWS IoT" and "Server authentication"; AWS in China names it ``PREFIX.ats.iot``.
"""

import re
from typing import Final

WHAT_TO_USE: Final = "Use the output of: aws iot describe-endpoint --endpoint-type iot:Data-ATS"
_OF_AWS_IOT: Final = (
    r"(?:(?P<before>[a-z0-9.-]+)\.)?iot(?:-fips)?\.(?P<region>[a-z]{2}(?:-[a-z0-9]+)+-\d+)"
    r"\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)
_SHARED: Final = frozenset({"data-ats", "data", "greengrass-ats"})
"""Endpoints of AWS itself, not of an account: a device cannot connect to them."""
_LABEL: Final = "abcdefghijklmnopqrstuvwxyz0123456789-"
_SERVICES: Final = {
    "credentials": "is the credential provider (iot:CredentialProvider), which does not support "
    "MQTT",
    "jobs": "is for jobs only (iot:Jobs)",
}


def problem_with(host: str) -> str | None:
    """Return why a device cannot connect to ``host``, an AWS endpoint of another kind, or None.

    Names that are not AWS IoT's, such as a custom domain or the local AWS, are not judged.
    """
    found = re.fullmatch(_OF_AWS_IOT, host)
    if found is None:
        return None
    before = (found["before"] or "").split(".")
    for service, words in _SERVICES.items():
        if service in before:
            return words
    if before == [""] or before[-1] in _SHARED:
        return "is AWS IoT's own API, not the data endpoint of an account"
    if len(before) == 2 and before[1] == "ats":
        return None
    if len(before) > 1:
        return f"is the endpoint of another service ({before[-1]})"
    if not before[0].endswith("-ats"):
        return "is the account's old endpoint (no -ats), whose server certificate is not Amazon's"
    return None


def region_of(host: str) -> str | None:
    """Return the Region in the name of a data endpoint, or None where the name has none."""
    return _parts_of(host)[1]


def account_prefix_of(host: str) -> str | None:
    """Return the part of a data endpoint's name that stands for the account, or None.

    AWS IoT tells a device no account number; two devices of one account have one prefix.
    """
    return _parts_of(host)[0]


def _parts_of(host: str) -> tuple[str, str] | tuple[None, None]:
    """Return the account's prefix and the Region; a pattern would take longer to compile."""
    name, _, rest = host.partition(".iot.")
    region, _, domain = rest.partition(".")
    prefix = name[: -len("-ats")]
    if name[-4:] in {".ats", "-ats"} and domain and _is_label(prefix) and _is_label(region):
        return prefix, region
    return None, None


def _is_label(text: str) -> bool:
    return bool(text) and not text.strip(_LABEL)
