"""AWS Lambda: the recovery template's pre-provisioning hook. May this device come back?

A device whose certificate expired, or was set INACTIVE, asks for another one with its birth
certificate. The policy of that certificate allows one client id, ``recover-THING``, so the client
id says which thing may be asked for. The device may come back if each certificate of the thing
ended within the window, and none is REVOKED, or still good. What was decided is published on
``firstboot/recovery/THING/audit`` before it is answered: without an audit event nobody comes back.

Environment: WINDOW_DAYS. AWS IoT developer guide, "Pre-provisioning hooks".
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import boto3

LOG: Final = logging.getLogger()
LOG.setLevel(logging.INFO)


def handler(event: Mapping[str, Any], _context: object) -> Mapping[str, Any]:
    """Return whether the thing may have another certificate; tell the audit first."""
    thing = str((event.get("parameters") or {}).get("ThingName", ""))
    iot = boto3.client("iot")
    refusal = _refusal(iot, event, thing)
    told = {
        "thing": thing,
        "allowed": not refusal,
        "reason": refusal or "its certificate ended within the window",
        "certificateId": event["certificateId"],
        "birthCertificateId": event["claimCertificateId"],
    }
    LOG.info("recovery: %s", told)
    topic = f"firstboot/recovery/{_level(thing)}/audit"
    boto3.client("iot-data").publish(topic=topic, qos=1, payload=json.dumps(told).encode())
    if refusal:
        return {"allowProvisioning": False}
    return {"allowProvisioning": True, "parameterOverrides": {"ThingName": thing}}


def _refusal(iot: Any, event: Mapping[str, Any], thing: str) -> str:
    """Return why the device may not come back; empty if it may."""
    if not thing or event.get("clientId") != f"recover-{thing}":
        return "the birth certificate is not this thing's"
    now = _described(iot, str(event["certificateId"]))["creationDate"]  # by the cloud's clock
    try:
        principals = iot.list_thing_principals(thingName=thing)["principals"]
    except iot.exceptions.ResourceNotFoundException:
        return "there is no such thing"
    former = [arn.partition(":cert/")[2] for arn in principals]
    reasons = [_unfit(_described(iot, each), now) for each in former if each]
    return next(filter(None, reasons), "") if reasons else "the thing has no certificate"


def _unfit(certificate: Mapping[str, Any], now: datetime) -> str:
    """Return why a device may not come back from this ``certificate``; empty if it may."""
    status, expires = certificate["status"], certificate["validity"]["notAfter"]
    name = str(certificate["certificateId"])[:12]
    if status not in {"ACTIVE", "INACTIVE"}:
        return f"its certificate {name}... is {status}"
    if status == "ACTIVE" and expires > now:
        return f"its certificate {name}... is good"
    ended = expires if status == "ACTIVE" else min(expires, certificate["lastModifiedDate"])
    if now - ended > timedelta(days=float(os.environ["WINDOW_DAYS"])):
        return f"its certificate {name}... ended at {ended.isoformat()}, before the window"
    return ""


def _described(iot: Any, certificate_id: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = iot.describe_certificate(certificateId=certificate_id)
    described: Mapping[str, Any] = found["certificateDescription"]
    return described


def _level(thing: str) -> str:
    """Return ``thing`` as a level of a topic; a device may have sent anything."""
    is_name = thing.replace("-", "").replace("_", "").replace(":", "").isalnum()
    return thing if is_name and thing.isascii() and len(thing) <= 128 else "unknown"
