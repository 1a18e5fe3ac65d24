"""What ``factory audit`` finds in an account."""

from typing import Final

from device.errors import Row
from factory.errors.base import ATTACH, CERTIFICATE, THING

AUDIT_FAILED: Final = Row(
    "FB-850", "AuditFailedError", "The audit found errors",
    means="The account has certificates, things, policies or CAs that are a risk or left over.",
    causes=("Devices were retired or renewed by hand.", "Policies allow too much."),
    next_step="Correct the errors in the order of the output; the warnings can wait.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=850850850850",
        "aws iot create-thing --thing-name {code}",
        "factory audit  # {code}",
    ),
)  # fmt: skip
NO_ACTIVE_CERTIFICATE: Final = Row(
    "FB-851", "NoActiveCertificateError", "A thing has no ACTIVE certificate",
    means="The device of the thing cannot connect.",
    causes=("It was retired or never provisioned, and the thing was kept.",),
    next_step="Delete the thing, or provision its device again.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=851851851851",
        "aws iot create-thing --thing-name {code}",
        "factory audit  # {code}",
    ),
)  # fmt: skip
TWO_ACTIVE_CERTIFICATES: Final = Row(
    "FB-852", "TwoActiveCertificatesError", "A thing has more than one ACTIVE certificate",
    means="A client can connect as the device with each of them.",
    causes=("A renewal did not turn the old certificate off.", "A device was made twice."),
    next_step="Turn off the one that the device no longer has: aws iot update-certificate "
    "--new-status INACTIVE --certificate-id ID.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=852852852852",
        CERTIFICATE,
        THING,
        ATTACH,
        ("aws iot attach-thing-principal --thing-name {code} --principal $(aws iot "
        "create-keys-and-certificate --set-as-active --query certificateArn "
        "--output text)"),
        "factory audit  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_WITHOUT_THING: Final = Row(
    "FB-853", "CertificateWithoutThingError", "An ACTIVE certificate belongs to no thing",
    means="Anyone who has its key can connect, and nobody can tell which device that is.",
    causes=("The thing was deleted and its certificate kept.", "A script stopped halfway."),
    next_step="Turn it off, or attach it to its thing.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=853853853853",
        CERTIFICATE,
        "factory audit  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_SHARED: Final = Row(
    "FB-854", "CertificateSharedError", "A certificate is attached to several things",
    means="Several devices have the same key, so a stolen device can act as any of them.",
    causes=("One certificate was put into an image of the firmware.",),
    next_step="Give each device a certificate of its own.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=854854854854",
        CERTIFICATE,
        THING,
        ATTACH,
        "aws iot create-thing --thing-name {code}-other",
        "aws iot attach-thing-principal --thing-name {code}-other --principal $ARN",
        "factory audit  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_WITHOUT_POLICY: Final = Row(
    "FB-855", "CertificateWithoutPolicyError", "An ACTIVE certificate has no policy",
    means="AWS IoT refuses every connection made with it.",
    causes=("The policy was detached, or the template has none.",),
    next_step="Attach the device's policy, or turn the certificate off.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=855855855855",
        CERTIFICATE,
        "factory audit  # {code}",
    ),
)  # fmt: skip
POLICY_TOO_WIDE: Final = Row(
    "FB-856", "PolicyTooWideError", "A policy allows more than one device needs",
    means="A device with this policy can act as other devices, or do everything.",
    causes=("The policy has a wildcard in place of the device's name.",),
    next_step="Use ${{iot:Connection.Thing.ThingName}} in the resource; factory lint says where.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=856856856856",
        CERTIFICATE,
        THING,
        ATTACH,
        ("aws iot create-policy --policy-name {code} --policy-document '{\"Version\": "
        '"2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", '
        "\"Resource\": \"*\"}]}'"),
        "aws iot attach-policy --policy-name {code} --target $ARN",
        "factory audit  # {code}",
    ),
)  # fmt: skip
ATTACHMENT_NOT_EXCLUSIVE: Final = Row(
    "FB-857", "AttachmentNotExclusiveError", "A certificate is not exclusively its thing's",
    means="AWS IoT would allow another thing to have the same certificate.",
    causes=(
        "It was attached without --thing-principal-type EXCLUSIVE_THING.",
        "A template without ThingPrincipalType registered it; an older one of this station, too.",
    ),
    next_step="Detach it, and attach it with --thing-principal-type EXCLUSIVE_THING; or have the "
    "device renew its certificate, which attaches the next one so.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=857857857857",
        CERTIFICATE,
        THING,
        ATTACH,
        "factory audit  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_ENDS: Final = Row(
    "FB-858", "CertificateEndsError", "An ACTIVE certificate has ended, or ends soon",
    means="AWS IoT refuses the device after the end of its certificate.",
    causes=("The device does not renew its certificate, or was off for too long.",),
    next_step="Renew the certificate before its end, or make the device again.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=858858858858",
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout {code}.key -out "
        "{code}.pem -subj /CN={code} -days 9"),
        ("aws iot register-certificate-without-ca --certificate-pem "
        "file://{code}.pem --status ACTIVE"),
        "factory audit  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_OLD: Final = Row(
    "FB-859", "CertificateOldError", "An ACTIVE certificate is old",
    means="The longer a key is in use, the more likely it is that someone else has it.",
    causes=("The device does not renew its certificate.",),
    next_step="Renew the certificate: docs/renewal.md.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=859859859859",
        CERTIFICATE,
        "sleep 1; factory audit --old 0  # {code}",
    ),
)  # fmt: skip
CA_ENDS: Final = Row(
    "FB-860", "CaEndsError", "A CA has ended, or ends soon",
    means="After the end of a CA, AWS IoT registers no more of its devices.",
    causes=("The CA was made for a limited time.",),
    next_step="Make and register another CA in time: factory ca, factory prepare.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=860860860860",
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout {code}.key -out "
        "{code}.pem -subj /CN={code} -days 9 -addext "
        "basicConstraints=critical,CA:true"),
        ("aws iot register-ca-certificate --ca-certificate file://{code}.pem "
        "--certificate-mode SNI_ONLY --set-as-active"),
        "factory audit  # {code}",
    ),
)  # fmt: skip
CLAIM_WITHOUT_END: Final = Row(
    "FB-861", "ClaimWithoutEndError", "A claim certificate is in use for long, and has no end",
    means="Anyone who has the claim can register devices; each batch should have its own.",
    causes=("A claim was never replaced, and AWS IoT issues them until 2049.",),
    next_step="Make another claim: factory claim new. Then turn the old one off.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=861861861861",
        "factory prepare --method claim --station {code}",
        "sleep 1; factory audit --claim 0  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_NEVER_ACTIVATED: Final = Row(
    "FB-862", "CertificateNeverActivatedError", "A certificate waits for its activation",
    means="It was registered at a first connection, and is still PENDING_ACTIVATION.",
    causes=("The template, the rule or the Lambda failed.",),
    next_step="factory explain --certificate FILE says why; then delete it.",
    needs="a certificate that has waited for its activation for a day",
)  # fmt: skip
CERTIFICATE_LEFT_OVER: Final = Row(
    "FB-863", "CertificateLeftOverError", "An INACTIVE or REVOKED certificate is still attached",
    means="A certificate that is INACTIVE or REVOKED still belongs to a thing.",
    causes=("A renewal or a retirement stopped halfway.",),
    next_step="Detach and delete it.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=863863863863",
        CERTIFICATE,
        THING,
        ATTACH,
        "aws iot update-certificate --certificate-id ${ARN##*/} --new-status INACTIVE",
        "factory audit  # {code}",
    ),
)  # fmt: skip
CA_DECIDES_NOTHING: Final = Row(
    "FB-864", "CaDecidesNothingError", "A CA registers devices, and nothing activates them",
    means="Auto-registration is on, but the CA has no template, and no rule gets its events.",
    causes=("The template was removed from the CA, or the rule was deleted.",),
    next_step="Give the CA a template, or make the rule: factory prepare.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=864864864864",
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout {code}.key -out "
        "{code}.pem -subj /CN={code} -addext basicConstraints=critical,CA:true"),
        ("aws iot register-ca-certificate --ca-certificate file://{code}.pem "
        "--certificate-mode SNI_ONLY --set-as-active --allow-auto-registration"),
        "factory audit  # {code}",
    ),
)  # fmt: skip
POLICY_WITHOUT_CONNECT: Final = Row(
    "FB-865", "PolicyWithoutConnectError", "No policy of a certificate allows iot:Connect",
    means="The certificate is ACTIVE and has policies, and still cannot connect.",
    causes=("The policy was replaced by one that allows topics only.",),
    next_step="Allow iot:Connect on client/${{iot:Connection.Thing.ThingName}}.",
    reproduce=(
        "export AWS_ACCESS_KEY_ID=865865865865",
        CERTIFICATE,
        ("aws iot create-policy --policy-name {code} --policy-document '{\"Version\": "
        '"2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Publish", '
        "\"Resource\": \"arn:aws:iot:*:*:topic/a\"}]}'"),
        "aws iot attach-policy --policy-name {code} --target $ARN",
        "factory audit  # {code}",
    ),
)  # fmt: skip
