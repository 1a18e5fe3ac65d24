"""A bad event, put into the words of an error: what was seen, likely causes, the next step."""

import re

from device.errors import FirstbootError
from device.errors.provisioning import (
    CLOUD_REJECTED,
    CONNECTION_LOST,
    MALFORMED_REPLY,
    NO_REPLY,
    NOT_ACKNOWLEDGED,
    NOT_ALLOWED_BY_MQTT,
    NOT_LET_IN,
    NOT_REACHABLE,
    TAKEN_OVER,
    THROTTLED,
    TOPIC_DENIED,
    UNEXPECTED_THING_NAME,
    CertificateUnacceptableError,
    clock_behind,
    in_order_of_likelihood,
)
from device.provisioning.events import (
    CertificateUnacceptable,
    ClockFoundBehind,
    ConnectFailed,
    ConnectionLost,
    Credential,
    Event,
    NotAcknowledged,
    NotLetIn,
    PublishDenied,
    Rejection,
    ReplyMalformed,
    RequestRefused,
    RequestThrottled,
    SubscriptionDenied,
    TimedOut,
    TokenRefused,
    UnexpectedThingNamed,
)

CAUSES = {
    Credential.CLAIM: (
        "The claim certificate is not ACTIVE, or is registered in another account or region.",
        "Its policy does not allow iot:Connect for this client id (claim-<serial>).",
        "A trusted user's claim is older than 5 minutes, or the claim has expired.",
        "A policy was changed less than 8 minutes ago and is not yet in effect.",
    ),
    Credential.INSTALLED: (
        "The certificate is not ACTIVE, or is registered in another account or region.",
        "Its policy does not allow iot:Connect for this client id (the thing name).",
        "A policy was changed less than 8 minutes ago and is not yet in effect.",
    ),
    Credential.STAGED: (
        "The certificate is not ACTIVE: the template says so, or the thing is not registered.",
        "The template attaches no policy that allows iot:Connect for this client id.",
        "A policy was changed less than 8 minutes ago and is not yet in effect.",
    ),
    Credential.DEVICE: (
        "The certificate was set INACTIVE or REVOKED, or was deleted, in the cloud.",
        "Its policy no longer allows iot:Connect for this client id (the thing name).",
        "The endpoint belongs to another account or region.",
    ),
    Credential.BIRTH: (
        "The birth certificate is not ACTIVE, or is registered in another account or region.",
        "Its policy does not allow iot:Connect for this client id (recover-<thing name>).",
        "The account was not prepared for it: factory prepare --recovery.",
    ),
    Credential.TRIAL: (
        "The account was not prepared for it: factory prepare --renewal.",
        "The certificate was not renewed since: send the job rotate-certificate, once.",
    ),
}

POLICY_HINTS = {
    Credential.CLAIM: "the claim certificate's policy",
    Credential.INSTALLED: "the policy that is attached to the certificate",
    Credential.STAGED: "the policy that the template attaches",
    Credential.DEVICE: "the thing's policy",
    Credential.BIRTH: "the policy firstboot-birth",
    Credential.TRIAL: "the thing's policy",
}

_UNRESOLVED = re.compile(r"Cannot resolve reference value: (\S+)")


def is_about_the_token(event: Event) -> bool:
    """Whether RegisterThing refused the token itself, and not the template or its parameters.

    AWS publishes no list of its error codes, so a refusal in unknown words is taken for one.
    """
    match event:
        case TokenRefused():
            return True
        case RequestRefused(error_code=code):
            return code not in _NEXT_STEPS
    return False


def error_of(event: Event, step: str, credential: Credential) -> FirstbootError:
    """Return the error that ``event``, seen during ``step``, amounts to."""
    match event:
        case NotLetIn(detail):
            return NOT_LET_IN.error(
                detail,
                credential=credential,
                next_step=in_order_of_likelihood(CAUSES[credential]),
            )
        case ConnectFailed(detail, next_step):
            return NOT_REACHABLE.error(detail, step=step, next_step=next_step)
        case ConnectionLost():
            return _lost(event, step)
        case NotAcknowledged(detail, next_step, may_succeed_later):
            row = NOT_ACKNOWLEDGED if may_succeed_later else NOT_ALLOWED_BY_MQTT
            return row.error(detail, step=step, next_step=next_step)
        case SubscriptionDenied(denied):
            return _denied("subscribe", denied, credential)
        case PublishDenied(topic):
            return _denied("publish", (topic,), credential)
        case TimedOut():
            return NO_REPLY.error(step=step)
        case ReplyMalformed(operation, problem, next_step):
            return MALFORMED_REPLY.error(problem, operation=operation, next_step=next_step)
        case CertificateUnacceptable() | ClockFoundBehind() | UnexpectedThingNamed():
            return _unusable(event)
        case Rejection():
            return _rejected(event)
    raise TypeError(f"{type(event).__name__} is no failure")


def _lost(event: ConnectionLost, step: str) -> FirstbootError:
    row = TAKEN_OVER if event.taken_over else CONNECTION_LOST
    return row.error(event.detail, step=step, next_step=event.next_step)


def _denied(verb: str, topics: tuple[str, ...], credential: Credential) -> FirstbootError:
    policy = _policy_hint(topics, credential)
    return TOPIC_DENIED.error(verb=verb, topics=", ".join(topics), policy=policy)


def _unusable(
    event: CertificateUnacceptable | ClockFoundBehind | UnexpectedThingNamed,
) -> FirstbootError:
    match event:
        case CertificateUnacceptable(problem):
            return CertificateUnacceptableError(problem)
        case ClockFoundBehind(now, not_before):
            return clock_behind(now, not_before)
        case UnexpectedThingNamed(expected, named):
            return UNEXPECTED_THING_NAME.error(expected=expected, named=named)


def _policy_hint(denied: tuple[str, ...], credential: Credential) -> str:
    hint = POLICY_HINTS[credential]
    if any("create-from-csr" in topic for topic in denied):
        hint += " ($aws/certificates/create/* does not cover create-from-csr)"
    return hint


def _rejected(event: Rejection) -> FirstbootError:
    row = THROTTLED if isinstance(event, RequestThrottled) else CLOUD_REJECTED
    answer = f"{event.status_code} {event.error_code}: {event.error_message}".rstrip(": ")
    return row.error(
        f"{event.operation} was rejected: {answer}",
        status_code=event.status_code,
        error_code=event.error_code,
        next_step=_next_step(event),
    )


def _next_step(event: Rejection) -> str:
    if isinstance(event, RequestThrottled):
        return ""
    unresolved = _UNRESOLVED.search(event.error_message)
    if unresolved:
        name = unresolved.group(1)
        return (
            f"The template refers to {name}, which the device does not send: add it under "
            "claim.parameters, or give it a Default in the template."
        )
    return _NEXT_STEPS.get(event.error_code, _NEXT_STEP_BY_STATUS.get(event.status_code, _LOOK_UP))


_LOOK_UP = "Look the errorCode up in the provisioning template, its role and the cloud's log."
_NEXT_STEP_BY_STATUS = {
    403: "The pre-provisioning hook refused the device (check the allow-list), or the template's "
    "provisioning role lacks a permission (AWSIoTThingsRegistration).",
}
_NEXT_STEPS = {
    "InvalidTemplate": "Check that claim.template exists and is enabled.",
    "InvalidParameters": "Compare claim.parameters with the template's Parameters.",
    "InvalidCertificateOwnershipToken": "The token expired or was used; the device tries again.",
    "InvalidPayload": "The server did not understand the request. Check that the endpoint is AWS "
    "IoT Core.",
    "InvalidCsr": "Check key.type and subject in the configuration.",
    "ProvisioningFailed": "The template could not be applied: read the message, and check the "
    "things, groups, types and policies that it names.",
    "InvocationError": "AWS IoT could not use a Lambda: the pre-provisioning hook or the "
    "account's certificate provider. Read its log, then boot again.",
    "InvalidResult": "The pre-provisioning hook's answer is not valid: fix the Lambda.",
}
