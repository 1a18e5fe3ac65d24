"""What can go wrong between the device and AWS IoT."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from device.errors import BOOT, JUST_IN_TIME, MAKE, ExitCode, FirstbootError, Row


class ProvisioningError(FirstbootError):
    """The device could not become, or prove to be, a registered thing."""


UNEXPECTED_EVENT: Final = Row(
    "FB-401",
    "UnexpectedEventError",
    "An event came that cannot happen now",
    means="An event came that cannot happen in this state; the state is unchanged.",
    causes=("The device has a bug.", "The server answered without a request."),
    next_step="This is a bug in the device, or the server answered without a request. Report it "
    "with the log.",
    sentence="{event} while {state}",
    kind=ProvisioningError,
    needs="a server that answers without a request",
)
NOT_REACHABLE: Final = Row(
    "FB-402",
    "NotReachableError",
    "The endpoint was not reached",
    means="The endpoint was not reached, or is not the one that the device trusts.",
    causes=(
        "The network, DNS, a firewall or a proxy is in the way.",
        "The endpoint belongs to another Region, or is misspelt.",
        "The root CA on the device is not the endpoint's.",
    ),
    next_step="Check the endpoint and the network.",
    sentence="{step}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "device boot --state {code} --endpoint localhost:1  # {code}",
    ),
)
NOT_LET_IN: Final = Row(
    "FB-403",
    "NotLetInError",
    "AWS IoT refused the connection",
    means="AWS IoT ended the connection after TLS. It gives no reason.",
    causes=(
        "The certificate is not ACTIVE, or is registered in another account or Region.",
        "Its policy does not allow iot:Connect for this client id.",
        "A policy was changed less than 8 minutes ago and is not yet in effect.",
        "A claim has expired: a trusted user's after 5 minutes.",
    ),
    next_step="Check the causes in the order that the message gives. To see the certificate: aws "
    "iot describe-certificate --certificate-id ID.",
    sentence="AWS IoT refused the connection made with the {credential} ({problem})",
    exit_code=ExitCode.DENIED,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "localcloud fault cut-at-connect client_id=claim-{code} count=9",
        "device boot --state {code}  # {code}",
    ),
)
NOT_ACTIVATED_YET: Final = Row(
    "FB-404",
    "NotActivatedYetError",
    "AWS IoT has not activated the certificate yet",
    means="AWS IoT refuses a just-in-time device; it does so at first, while it registers the "
    "device.",
    causes=(
        "AWS IoT is registering the device; this takes 1 to 3 s.",
        "The CA is not registered, not ACTIVE, or does not register automatically.",
        "The template, the rule or the Lambda failed.",
    ),
    next_step="The device tries again by itself. If AWS IoT keeps refusing it, check the causes in "
    "the order that the message gives.",
    exit_code=ExitCode.DENIED,
    kind=ProvisioningError,
    reproduce=(
        JUST_IN_TIME,
        "localcloud fault cut-at-connect client_id={code} count=9",
        "DEVICE_JUST_IN_TIME__BUDGET=1 device boot --state {code}  # {code}",
    ),
)


def not_activated_yet(detail: str, refusals: int, next_step: str) -> FirstbootError:
    """Return `NOT_ACTIVATED_YET` after so many ``refusals``, in calm words at the first."""
    if refusals == 1:
        words = (
            f"AWS IoT closed the first connection ({detail}), as it does while it registers a "
            "certificate that it sees for the first time"
        )
    else:
        words = (
            f"still refused after {refusals} attempts ({detail}); AWS IoT usually needs 1 to 3 s "
            "for a template, and as long as the Lambda takes for a rule"
        )
    return NOT_ACTIVATED_YET.error(words, refusals=refusals, next_step=next_step)


IDENTITY_REFUSED: Final = Row(
    "FB-405",
    "IdentityRefusedError",
    "AWS IoT keeps refusing the device",
    means="AWS IoT keeps refusing a device that it accepted before.",
    causes=(
        "The certificate was set INACTIVE or REVOKED, or was deleted, in the cloud.",
        "Its policy no longer allows iot:Connect for this client id (the thing name).",
        "The endpoint belongs to another account or Region.",
    ),
    next_step="Set the certificate ACTIVE again, and the device reconnects by itself. If it was "
    "deleted: device reset --forget-identity, then have the station make the device again.",
    sentence="AWS IoT refused this device's identity {refusals} times in a row, over "
    "{seconds:.0f} s, each time after TLS was complete ({problem})",
    exit_code=ExitCode.DENIED,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        BOOT,
        "localcloud fault cut-at-connect client_id={code} count=9",
        "timeout 5 device run --state {code}  # {code}",
    ),
)


def in_order_of_likelihood(causes: Iterable[str], advice: str = "") -> str:
    """Return the next step after a refusal that AWS does not explain: ``causes``, then advice."""
    listed = [f"({number}) {cause}" for number, cause in enumerate(causes, 1)]
    return " ".join(filter(None, ["AWS gives no reason. In order of likelihood:", *listed, advice]))


CERTIFICATE_IN_DOUBT: Final = Row(
    "FB-406",
    "CertificateInDoubtError",
    "The new certificate was refused",
    means="AWS IoT refused the staged certificate. This does not show whether it is registered.",
    causes=(
        "The policy that the template attaches is not in effect yet, or too narrow.",
        "The template sets the certificate INACTIVE, or failed.",
        "RegisterThing failed at first, and its ownership token has ended since.",
    ),
    next_step="The device tries again by itself. It asks for another certificate when this one was "
    "refused for several minutes while the claim certificate was accepted. To see its state in AWS "
    "IoT: aws iot describe-certificate --certificate-id {certificate_id}.",
    sentence="{problem}; the device keeps certificate {certificate_id} and tries it again",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "localcloud fault reject operation=provision client_id=claim-{code}",
        "device boot --state {code} || true",
        "localcloud fault expire-tokens",
        "device boot --state {code}  # {code}",
    ),
)
CERTIFICATE_GIVEN_UP: Final = Row(
    "FB-407",
    "CertificateGivenUpError",
    "The device gave up a certificate",
    means="All evidence says that the cloud does not know the staged certificate.",
    causes=(
        "RegisterThing was never done, because its token expired.",
        "Someone deleted the certificate in the cloud.",
    ),
    next_step="The device asks for another certificate by itself. If the cloud still has this one, "
    "turn it off: aws iot update-certificate --new-status INACTIVE --certificate-id "
    "{certificate_id}. device status lists it under certificates_given_up.",
    sentence="the device gave up certificate {certificate_id}: for minutes AWS IoT refused its "
    "connections ({problem}) and its token, but accepted the claim certificate",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    needs="some minutes in which the cloud refuses a certificate, and the end of its token",
)
CLOCK_BEHIND: Final = Row(
    "FB-408",
    "ClockBehindError",
    "The device's clock is behind",
    means="A certificate that was issued to this device is not yet valid by this device's clock.",
    causes=("The device has no battery-backed clock, and NTP has not set it yet.",),
    next_step="Set the clock: start NTP (timedatectl set-ntp true), or add a battery-backed clock. "
    "The device keeps the certificate and tries again by itself.",
    sentence="this device's clock is behind: it says {says}, but its certificate is valid only "
    "from {since}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    needs="a device whose clock says 1970",
)


def clock_behind(now: float, not_before: float) -> FirstbootError:
    """Return `CLOCK_BEHIND` for two times, in seconds since the epoch."""
    says, since = (datetime.fromtimestamp(each, UTC).isoformat() for each in (now, not_before))
    return CLOCK_BEHIND.error(says=says, since=since)


UNEXPECTED_THING_NAME: Final = Row(
    "FB-409",
    "UnexpectedThingNameError",
    "The cloud returned another thing name",
    means="RegisterThing returned a thing name that the settings do not expect. The device did not "
    "use it.",
    causes=(
        "thing_name in the settings and ThingName in the template differ.",
        "The template gives all devices the same name.",
    ),
    next_step="Set thing_name in the settings to the name that the template builds, with "
    '{{serial}} and {{device_id}} where they belong, or to "{{cloud}}" if only the template can '
    "know it; or correct ThingName in the template. The device keeps the certificate. If the name "
    "was a mistake, remove the thing: aws iot delete-thing --thing-name {named}.",
    sentence="RegisterThing returned the thing name {named}, but the settings expect {expected}",
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "DEVICE_THING_NAME=other device boot --state {code}  # {code}",
    ),
)
TOPIC_DENIED: Final = Row(
    "FB-410",
    "TopicDeniedError",
    "The policy does not allow a topic",
    means="AWS IoT denied a subscription or a publish.",
    causes=(
        "The policy lacks iot:Subscribe on the topic filter, or iot:Publish on the topic.",
        "The policy names another thing, client id or account.",
    ),
    next_step="Allow it in {policy}: {topics}",
    sentence="AWS IoT denied {verb} on {topics}",
    exit_code=ExitCode.DENIED,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "DEVICE_CLAIM__TEMPLATE=other device boot --state {code}  # {code}",
    ),
)
CLOUD_REJECTED: Final = Row(
    "FB-411",
    "CloudRejectedError",
    "AWS IoT rejected a request",
    means="AWS IoT answered on the rejected topic; the message has its status and error code.",
    causes=(
        "The template does not exist, is not enabled, or lacks a parameter.",
        "The pre-provisioning hook refused the device.",
        "The provisioning role lacks a permission.",
        "The certificate ownership token expired or was used.",
    ),
    next_step="Read the message of AWS, and check the template, its role and its hook.",
    exit_code=ExitCode.DENIED,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        (
            "localcloud fault reject operation=provision client_id=claim-{code} "
            "status_code=403 error_code=AccessDenied"
        ),
        "device boot --state {code}  # {code}",
    ),
)
THROTTLED: Final = Row(
    "FB-412",
    "ThrottledError",
    "AWS IoT is too busy",
    means="AWS IoT throttles the request, or the account's quota is used up.",
    causes=("Many devices boot for the first time at the same moment.",),
    next_step="The device backs off and asks again. Spread the first boots of a batch further.",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "localcloud fault throttle operation=create-from-csr client_id=claim-{code}",
        "device boot --state {code}  # {code}",
    ),
)
CONNECTION_LOST: Final = Row(
    "FB-413",
    "ConnectionLostError",
    "The connection was lost",
    means="An established connection ended before the step was done.",
    causes=(
        "The network failed.",
        "A second client has the same client id.",
        "The policy does not allow a topic, so AWS IoT ended the connection.",
    ),
    next_step="The device tries again by itself. If it always ends at this step, look for a second "
    "client with the same client id, and for a topic that the policy does not allow.",
    sentence="connection lost while {step}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "localcloud fault cut-after-packet packets=2 client_id=claim-{code} count=9",
        "device boot --state {code}  # {code}",
    ),
)
TAKEN_OVER: Final = Row(
    "FB-414",
    "TakenOverError",
    "Another client has the same client id",
    means="Another client connected under the same client id, so AWS IoT ended this connection.",
    causes=("The device runs twice.", "Two devices have the same serial number."),
    next_step="Another client connected with this thing's name. Check whether the device runs "
    "twice, or whether two devices have the same serial number. To find it: subscribe to "
    "$aws/events/presence/connected/+ in the console (MQTT test client) and compare "
    "principalIdentifier, the certificate id, and ipAddress; or list what is attached: aws iot "
    "list-thing-principals --thing-name NAME. Set the certificate of the wrong one INACTIVE.",
    sentence="connection lost while {step}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        BOOT,
        "cp -r {code} {code}.twin",
        "device run --state {code}.twin & twin=$!; sleep 1",
        "device doctor --state {code}  # {code}",
        "kill $twin",
    ),
)
NOT_ACKNOWLEDGED: Final = Row(
    "FB-415",
    "NotAcknowledgedError",
    "AWS IoT did not accept a packet",
    means="AWS IoT answered a SUBSCRIBE or PUBLISH with a reason code other than a denial.",
    causes=("A quota of the connection is used up.", "AWS IoT has a fault of its own."),
    next_step="The device tries again by itself.",
    sentence="{step}: {problem}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    needs="a broker that refuses a packet for another reason than a policy",
)
NOT_ALLOWED_BY_MQTT: Final = Row(
    "FB-416",
    "NotAllowedByMqttError",
    "AWS IoT does not accept this packet",
    means="AWS IoT does not accept such a packet, so sending it again will not help.",
    causes=("The topic is not valid, or has too many levels.", "The payload is too large."),
    next_step="Correct the topic or the payload.",
    sentence="{step}: {problem}",
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        BOOT,
        "device doctor --state {code} --subscribe a/b/c/d/e/f/g/h/i  # {code}",
    ),
)
NO_REPLY: Final = Row(
    "FB-417",
    "NoReplyError",
    "The cloud did not answer",
    means="The cloud did not answer a request in time.",
    causes=(
        "The claim policy does not allow iot:Receive on the reply topics.",
        "The template is not enabled, or is in another Region.",
        "The pre-provisioning hook takes longer than 5 s.",
    ),
    next_step="The device tries again by itself. If it never gets an answer, check that the "
    "template is enabled, that the Region is right, and that the claim policy allows iot:Receive "
    "on the reply topics.",
    sentence="no answer while {step}",
    exit_code=ExitCode.TRY_LATER,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        "localcloud fault drop-reply client_id=claim-{code} count=9",
        "DEVICE_CONNECTION__REPLY_TIMEOUT=1 device boot --state {code}  # {code}",
    ),
)
MALFORMED_REPLY: Final = Row(
    "FB-418",
    "MalformedReplyError",
    "The reply cannot be used",
    means="The cloud's reply is not what AWS documents, so the device did not use it.",
    causes=("The endpoint is not AWS IoT Core.", "The local AWS has another version."),
    next_step="Check that the endpoint is AWS IoT Core, or a local AWS of the same version as this "
    "device.",
    sentence="the reply to {operation} cannot be used: {problem}",
    kind=ProvisioningError,
    needs="a server that is not AWS IoT",
)
CERTIFICATE_UNACCEPTABLE: Final = Row(
    "FB-419",
    "CertificateUnacceptableError",
    "The certificate is not for this device",
    means="The device may not use the certificate that it received, and did not store it.",
    causes=(
        "The account's certificate provider is misconfigured.",
        "The reply was meant for another request.",
        "The server is an impostor.",
    ),
    next_step="Do not trust this endpoint until you know the cause. A certificate for another key "
    "or subject comes from a misconfigured certificate provider, from a reply meant for another "
    "request, or from an impostor.",
    reproduce=(
        MAKE,
        "DEVICE_ISSUER_CA=$DEVICE_ROOT_CA device boot --state {code}  # {code}",
    ),
)


class CertificateUnacceptableError(ProvisioningError):
    """A certificate is not one this device may use; nothing of it was stored."""

    row = CERTIFICATE_UNACCEPTABLE


INSTALLED_CERTIFICATE: Final = Row(
    "FB-420",
    "InstalledCertificateError",
    "The installed certificate is not this device's",
    means="The certificate that the station installed does not belong to this device.",
    causes=("The certificate has expired.", "The station installed another device's certificate."),
    next_step="Have the station install a certificate for this device's key and subject.",
    kind=CertificateUnacceptableError,
    reproduce=(
        JUST_IN_TIME,
        "DEVICE_ISSUER_CA=$DEVICE_ROOT_CA device boot --state {code}  # {code}",
    ),
)
CREDENTIAL_UNUSABLE: Final = Row(
    "FB-421",
    "CredentialUnusableError",
    "TLS cannot use the credential",
    means="TLS cannot start: the certificate, the key or the root CA is wrong.",
    causes=(
        "The certificate was issued for another key.",
        "The claim certificate had expired when the station made the device.",
    ),
    next_step="Have the station install a certificate together with the key it was issued for, and "
    "the right root CA: factory make.",
    sentence="TLS cannot use the {credential} with its key and root CA: {problem}",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ProvisioningError,
    needs="a claim certificate that had expired when the station made the device",
)
NO_CREDENTIAL: Final = Row(
    "FB-422",
    "NoCredentialError",
    "The device has no credential",
    means="The device holds neither a claim nor a certificate, so it cannot provision itself.",
    causes=(
        "The station made the device without a credential.",
        "The device was reset after its claim had been destroyed.",
    ),
    next_step="Have the station install a credential: factory make. A claim is destroyed once the "
    "identity is proven; a device that lost its identity must go back to the station.",
    sentence="this device has no credential: neither a claim credential nor a certificate; the "
    "station must install one, or a trusted user must hand over a claim (--wait-for-claim)",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ProvisioningError,
    reproduce=(
        JUST_IN_TIME,
        BOOT,
        "device reset --state {code} --forget-identity",
        "device boot --state {code}  # {code}",
    ),
)
CLAIM_MISSING: Final = Row(
    "FB-423",
    "ClaimMissingError",
    "The device has no claim",
    means="The device needs a claim to provision itself, and holds none.",
    causes=(
        "The device was made for a trusted user, and nobody handed over a claim.",
        "The device was reset after its claim had been destroyed.",
    ),
    next_step=NO_CREDENTIAL.next_step,
    sentence=NO_CREDENTIAL.sentence,
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ProvisioningError,
    reproduce=(
        MAKE,
        BOOT,
        "device reset --state {code} --forget-identity",
        "device boot --state {code}  # {code}",
    ),
)
CLAIM_EXPIRED: Final = Row(
    "FB-425",
    "ClaimExpiredError",
    "The claim has expired",
    means="The claim that a trusted user handed over is older than five minutes.",
    causes=("The claim was handed over too late.", "The device's clock is ahead."),
    next_step="Boot again with --wait-for-claim and hand over a new one: factory claim "
    "--trusted-user. The device keeps its progress. If it calls a new claim too old, set this "
    "device's clock.",
    exit_code=ExitCode.DENIED,
    reproduce=(
        "factory make --method trusted-user --serial {code} --out {code}",
        "factory claim --trusted-user --to {code}.json",
        'sed -i \'s/"expiration": [0-9.]*/"expiration": 1000000000.0/\' {code}.json',
        "timeout 3 device boot --state {code} --wait-for-claim {code}.json  # {code}",
    ),
)


class ClaimExpiredError(ProvisioningError):
    """The claim that a trusted user handed over is older than five minutes."""

    row = CLAIM_EXPIRED


CLAIM_UNUSABLE: Final = Row(
    "FB-426",
    "ClaimUnusableError",
    "What was handed over is not a claim",
    means="What was handed over is not a claim; the device did not use it.",
    causes=("Someone edited or truncated the claim.", "Someone handed over another file."),
    next_step="Hand over the output of factory claim --trusted-user, unchanged.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    reproduce=(
        "factory make --method trusted-user --serial {code} --out {code}",
        "echo '{}' > {code}.json && chmod 600 {code}.json",
        "timeout 3 device boot --state {code} --wait-for-claim {code}.json  # {code}",
    ),
)


class ClaimUnusableError(ProvisioningError):
    """What was handed over is not a claim; it was not used."""

    row = CLAIM_UNUSABLE


SUBJECT_FIELD_MISSING: Final = Row(
    "FB-427",
    "SubjectFieldMissingError",
    "The certificate's subject lacks a field",
    means="The installed certificate lacks what a just-in-time template takes from its subject.",
    causes=("The station's settings have no such field under subject.",),
    next_step="Have the station issue a certificate whose subject has {lacking}, or give the "
    "template's parameter a Default. AWS IoT would leave this certificate PENDING_ACTIVATION "
    "forever, without an error.",
    sentence="the certificate's subject lacks {lacking}, which {template} needs",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=ProvisioningError,
    reproduce=(
        JUST_IN_TIME,
        (
            'echo \'{"Parameters": '
            '{"AWS::IoT::Certificate::DistinguishedNameQualifier": {"Type": '
            '"String"}}, "Resources": {"thing": {"Type": "AWS::IoT::Thing", '
            '"Properties": {"ThingName": {"Ref": '
            '"AWS::IoT::Certificate::DistinguishedNameQualifier"}}}}}\' > {code}.json'
        ),
        (
            "DEVICE_JUST_IN_TIME__TEMPLATE_FILE=$PWD/{code}.json device boot --state "
            "{code}  # {code}"
        ),
    ),
)
