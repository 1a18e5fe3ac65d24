"""Why AWS IoT refuses a certificate or what a device does with it, in AWS's own order.

First certificate and endpoint, then registration and status, then the policies for each action
(docs/aws-iot-facts.md, 5.9). Each check yields its reasons.
"""

import shlex
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from device.errors import Row
from factory.account.cloud import items, text
from factory.diagnosis.decision import Decision, Verdict, decide
from factory.diagnosis.reason import Reason, reason
from factory.diagnosis.subject import Subject
from factory.errors import CLOUD_DENIED, CloudError
from factory.errors.diagnosis import (
    ACTION_DENIED,
    ACTION_NOT_ALLOWED,
    CERTIFICATE_ENDED,
    CERTIFICATE_INACTIVE,
    CERTIFICATE_PENDING,
    CERTIFICATE_REVOKED,
    CLIENT_ID_TAKEN,
    CONNECTION_ENDED,
    NO_POLICY,
    NO_THING,
    NOT_EXCLUSIVE,
    NOT_PROVISIONED,
    NOT_REGISTERED_HERE,
    UNKNOWN_SERIAL,
    WRONG_ENDPOINT,
)
from factory.station.ledger import Entry, Result

_BY_STATUS: Final[dict[str, Row]] = {
    "INACTIVE": CERTIFICATE_INACTIVE,
    "REGISTER_INACTIVE": CERTIFICATE_INACTIVE,
    "REVOKED": CERTIFICATE_REVOKED,
    "PENDING_ACTIVATION": CERTIFICATE_PENDING,
    "PENDING_TRANSFER": CERTIFICATE_PENDING,
}
_HARMLESS: Final = frozenset({
    "CLIENT_INITIATED_DISCONNECT", "CONNECTION_LOST", "API_INITIATED_DISCONNECT", "NONE", "",
})  # fmt: skip


def endpoint(subject: Subject) -> Iterator[Reason]:
    """Compare the endpoint that the device dials with the account's own."""
    dialled = subject.asked.endpoint
    if dialled is None:
        return
    answer = subject.read("iot", "DescribeEndpoint", endpointType="iot:Data-ATS") or {}
    own, host = str(answer.get("endpointAddress", "")), dialled.rpartition(":")[0] or dialled
    if own.partition(":")[0] != host:
        where = subject.cloud.account
        yield reason(WRONG_ENDPOINT, "endpoint", f"it dials {host}; {where} has {own}")


def registered(subject: Subject) -> Iterator[Reason]:
    """See that the account has the certificate and the thing."""
    where, serial = subject.cloud.account, subject.asked.serial
    if serial is not None and subject.thing is None:
        yield _without_thing(f"{where} has no thing {serial}", subject.asked.made)
    elif serial is not None and subject.certificate_id is None:
        yield reason(NOT_PROVISIONED, "thing", f"no certificate is attached to {serial}")
    if subject.certificate_id is not None and subject.certificate is None:
        yield reason(NOT_REGISTERED_HERE, "certificate", f"{where} has no {subject.certificate_id}")


def _without_thing(evidence: str, made: Entry | None) -> Reason:
    """Return why there is no thing, as far as the station's ledger tells."""
    if made is None:
        told = f"{evidence}, and the ledger of this station does not name it"
        return reason(UNKNOWN_SERIAL, "thing", told)
    told = f"{evidence}; the station's ledger says: {made.result} at {made.at.isoformat()}"
    if made.result is Result.MADE:
        step = f"Boot the device: device boot --state {shlex.quote(made.folder)}"
    elif made.result is Result.BEGUN:
        step = "Run the same factory command again, which finishes the device; then boot it."
    else:
        step = "Make a device of this serial number: factory make; then boot it."
    return reason(NOT_PROVISIONED, "thing", told, step)


def status(subject: Subject) -> Iterator[Reason]:
    """See that the certificate is ACTIVE."""
    if subject.certificate is None:
        return
    held = text(subject.certificate, "status")
    row = _BY_STATUS.get(held)
    if row is not None:
        changed = subject.certificate.get("lastModifiedDate")
        step = row.next_step.replace(" ID", f" {subject.certificate_id}")
        since = f" since {changed}" if isinstance(changed, datetime) else ""
        evidence = f"{subject.certificate_id} is {held}{since}"
        yield reason(row, "certificate", evidence, step)


def validity(subject: Subject) -> Iterator[Reason]:
    """See that the certificate is valid now."""
    if subject.parsed is None:
        return
    now = subject.now
    begin, end = subject.parsed.not_valid_before_utc, subject.parsed.not_valid_after_utc
    if not begin <= now <= end:
        evidence = f"valid from {begin.isoformat()} to {end.isoformat()}; now {now.isoformat()}"
        yield reason(CERTIFICATE_ENDED, "certificate", evidence)


def policies(subject: Subject) -> Iterator[Reason]:
    """Judge the connection and each topic for this very client."""
    if subject.certificate is None:
        return
    if not subject.policies:
        yield reason(NO_POLICY, "policy", f"{subject.certificate_id} has no policy")
        return
    for action, resource in _wanted(subject):
        decision = _decided(subject, action, resource)
        if decision.verdict is not Verdict.ALLOWED:
            denied = decision.verdict is Verdict.EXPLICIT_DENY
            row = ACTION_DENIED if denied else ACTION_NOT_ALLOWED
            about = f"policy: {action.removeprefix('iot:').lower()}"
            yield reason(row, about, decision.words)


def _wanted(subject: Subject) -> Iterator[tuple[str, str]]:
    if subject.client_id is not None:
        yield "iot:Connect", f"client/{subject.client_id}"
    for topic in subject.asked.publish:
        yield "iot:Publish", f"topic/{topic}"
    for topic_filter in subject.asked.subscribe:
        yield "iot:Subscribe", f"topicfilter/{topic_filter}"
        if not set("+#") & set(topic_filter):
            yield "iot:Receive", f"topic/{topic_filter}"


def _decided(subject: Subject, action: str, resource: str) -> Decision:
    """Return AWS's decision, in the words of the statement that we find; else our own."""
    own = decide(subject.policies, action, resource, subject.variables)
    theirs = _aws_decision(subject, action, resource)
    if theirs in {None, own.verdict} or Verdict.ALLOWED not in {theirs, own.verdict}:
        return own
    names = ", ".join(each.name for each in subject.policies)
    return Decision(Verdict(str(theirs)), f"AWS IoT says {theirs} to {names}")


def _aws_decision(subject: Subject, action: str, resource: str) -> str | None:
    """Return what TestAuthorization says; None where the right for it is lacking."""
    certificate, account = subject.certificate or {}, subject.cloud.account
    try:
        answer = subject.cloud.call(
            "iot", "TestAuthorization", principal=text(certificate, "certificateArn"),
            clientId=subject.client_id or "",
            authInfos=[{
                "actionType": action.removeprefix("iot:").upper(),
                "resources": [account.arn("iot", resource)],
            }],
        )  # fmt: skip
    except CloudError as error:
        if error.row is CLOUD_DENIED:
            return None
        raise
    results = items(answer, "authResults")
    return text(results[0], "authDecision") if results else None


def attachments(subject: Subject) -> Iterator[Reason]:
    """See which things the certificate is attached to."""
    if subject.certificate is None:
        return
    things = subject.things
    if len(things) > 1:
        listed = ", ".join(sorted(things))
        yield reason(NOT_EXCLUSIVE, "thing", f"{subject.certificate_id} is attached to {listed}")
    if subject.thing_of_connection is None and _needs_thing(subject):
        attached = ", ".join(sorted(things)) or "no thing"
        evidence = (
            f"client id {subject.client_id}; the certificate is attached to {attached}, and a "
            "policy names the thing by a variable"
        )
        yield reason(NO_THING, "thing", evidence)


def _needs_thing(subject: Subject) -> bool:
    documents = [each.document.lower() for each in subject.policies]
    return any("iot:connection.thing." in each for each in documents)


def connection(subject: Subject) -> Iterator[Reason]:
    """Read why the last connection of this client id ended."""
    if subject.client_id is None:
        return
    known = subject.read("iot-data", "GetConnection", clientId=subject.client_id) or {}
    why = str(known.get("disconnectReason", ""))
    if why == "DUPLICATE_CLIENTID":
        yield reason(CLIENT_ID_TAKEN, "connection", f"{subject.client_id}: {why}")
    elif why not in _HARMLESS:
        yield reason(CONNECTION_ENDED, "connection", f"{subject.client_id}: {why}")
