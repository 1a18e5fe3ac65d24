"""AWS Lambda: the cloud's part in a renewal. It confirms the new certificate, retires the old one.

A topic rule on ``firstboot/renewal/+/device`` calls it, with the principal that AWS IoT saw
(``principal()``, for a device the certificate's id), so a device cannot say that it is another.
The answer goes to ``firstboot/renewal/THING/cloud``.

``prove``: the device sent this with its new certificate. It is confirmed if it is attached to the
thing, and has every policy of the certificate that it replaces; else the answer says what is
missing, and the device stays with the old one. ``retire``: the device does not use the other
certificate any more, or never did. It is set INACTIVE and detached, if it is attached to the
same thing; any other certificate is left alone. The same event may come twice: the second time
changes nothing.

Environment: none. AWS IoT developer guide, "AWS IoT SQL functions", principal().
"""

import json
import logging
from collections.abc import Mapping
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, str]:
    """Do what the device asks, and answer it; return the answer.

    Raises:
        ValueError: the message was not sent with a certificate of this thing.
    """
    iot = boto3.client("iot")
    thing, principal = str(event["thing"]), str(event["principal"])
    other = str(event.get("replaces", ""))
    if not _is_attached(iot, context, principal, thing):
        raise ValueError(f"the principal {principal!r} does not belong to the thing {thing!r}")
    if event["step"] == "prove":
        answer = _confirmed(iot, context, principal, thing, other)
    else:
        answer = _retired(iot, context, principal, thing, other)
    LOG.info("%s: %s", thing, answer)
    topic = f"firstboot/renewal/{thing}/cloud"
    boto3.client("iot-data").publish(topic=topic, qos=1, payload=json.dumps(answer).encode())
    return answer


def _confirmed(iot: Any, context: Any, principal: str, thing: str, other: str) -> dict[str, str]:
    missing: set[str] = set()
    if other and _is_attached(iot, context, other, thing):
        missing = _policies(iot, context, other) - _policies(iot, context, principal)
    if missing:
        reason = f"the old certificate has policies that it lacks: {', '.join(sorted(missing))}"
        return {"step": "refused", "certificateId": principal, "reason": reason}
    return {"step": "confirmed", "certificateId": principal}


def _retired(iot: Any, context: Any, principal: str, thing: str, other: str) -> dict[str, str]:
    if other == principal:
        reason = "a certificate does not retire itself: ask with the one that replaces it"
        return {"step": "refused", "certificateId": principal, "reason": reason}
    if _is_attached(iot, context, other, thing):
        # INACTIVE first: a run that is cut here is repeated whole, and finds it attached.
        iot.update_certificate(certificateId=other, newStatus="INACTIVE")
        iot.detach_thing_principal(thingName=thing, principal=_arn(context, other))
    return {"step": "retired", "certificateId": other}


def _is_attached(iot: Any, context: Any, certificate_id: str, thing: str) -> bool:
    try:
        found = iot.list_principal_things(principal=_arn(context, certificate_id))
    except (iot.exceptions.ResourceNotFoundException, iot.exceptions.InvalidRequestException):
        return False
    return thing in found["things"]


def _policies(iot: Any, context: Any, certificate_id: str) -> set[str]:
    found = iot.list_attached_policies(target=_arn(context, certificate_id), pageSize=250)
    return {policy["policyName"] for policy in found["policies"]}


def _arn(context: Any, certificate_id: str) -> str:
    """Return the certificate's ARN: in the account and Region of this function."""
    _, partition, _, region, account, *_ = context.invoked_function_arn.split(":")
    return f"arn:{partition}:iot:{region}:{account}:cert/{certificate_id}"
