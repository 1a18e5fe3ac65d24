"""Is a host name the data endpoint of an AWS account, or another of AWS's endpoints?

Sources: AWS IoT API reference, DescribeEndpoint; AWS IoT Core Developer Guide, "Connecting
devices to AWS IoT" and "Server authentication"; AWS in China names it ``PREFIX.ats.iot``.
"""

import re
from typing import Final

WHAT_TO_USE: Final = "Use the output of: aws iot describe-endpoint --endpoint-type iot:Data-ATS"
_OF_AWS_IOT: Final = re.compile(
    r"(?:(?P<before>[a-z0-9.-]+)\.)?iot(?:-fips)?\.(?P<region>[a-z]{2}(?:-[a-z0-9]+)+-\d+)"
    r"\.(?:amazonaws\.com(?:\.cn)?|api\.aws)"
)
_SHARED: Final = frozenset({"data-ats", "data", "greengrass-ats"})
"""Endpoints of AWS itself, not of an account: a device cannot connect to them."""
_SERVICES: Final = {
    "credentials": "is the credential provider (iot:CredentialProvider), which does not support "
    "MQTT",
    "jobs": "is for jobs only (iot:Jobs)",
}


def problem_with(host: str) -> str | None:
    """Return why a device cannot connect to ``host``, an AWS endpoint of another kind, or None.

    Names that are not AWS IoT's, such as a custom domain or the local AWS, are not judged.
    """
    found = _OF_AWS_IOT.fullmatch(host)
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
    found = re.fullmatch(r"[a-z0-9-]+(?:\.ats|-ats)\.iot\.([a-z0-9-]+)\..+", host)
    return found[1] if found else None


def account_prefix_of(host: str) -> str | None:
    """Return the part of a data endpoint's name that stands for the account, or None.

    AWS IoT tells a device no account number; two devices of one account have one prefix.
    """
    found = re.fullmatch(r"([a-z0-9-]+?)(?:\.ats|-ats)\.iot\.[a-z0-9-]+\..+", host)
    return found[1] if found else None
