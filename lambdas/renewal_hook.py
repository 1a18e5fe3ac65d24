"""AWS Lambda: the renewal template's pre-provisioning hook. For which thing may this device ask?

A device chooses what it sends to a template. So AWS IoT calls this at each RegisterThing, with
the certificate that the request was made with (``claimCertificateId``), and it allows the thing
that this certificate is attached to, and no other (AWS IoT developer guide, "Pre-provisioning
hooks").
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], _context: object) -> Mapping[str, Any]:
    """Return whether the certificate that asks belongs to the thing that it asks for."""
    thing = str((event.get("parameters") or {}).get("ThingName", ""))
    asks = str(event["claimCertificateId"])
    things = boto3.client("iot").list_principal_things(principal=_arn(event, asks))["things"]
    if not thing or thing not in things:
        LOG.warning("denied: certificate %s asks for %r, and belongs to %s", asks, thing, things)
        return {"allowProvisioning": False}
    LOG.info("allowed: certificate %s for %r, asked by %s", event["certificateId"], thing, asks)
    return {"allowProvisioning": True, "parameterOverrides": {"ThingName": thing}}


def _arn(event: Mapping[str, Any], certificate_id: str) -> str:
    """Return the certificate's ARN: in the account and Region of the template."""
    return str(event["templateArn"]).partition(":provisioningtemplate/")[0] + (
        f":cert/{certificate_id}"
    )
