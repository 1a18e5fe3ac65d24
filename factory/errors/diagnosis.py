"""Why AWS IoT refuses a device, as the account shows it: what ``factory explain`` names."""

from typing import Final

from device.errors import BOOT, JUST_IN_TIME, MAKE, ExitCode, Row
from factory.errors.base import CERTIFICATE, StationError

_DENIED: Final = ExitCode.DENIED
_POLICY_STEP: Final = (
    "Correct the policy and make the new version the default; AWS IoT applies it within 8 minutes."
)


class DeviceRefusedError(StationError):
    """The account has a reason to refuse a device."""


NOT_REGISTERED_HERE: Final = Row(
    "FB-801", "NotRegisteredHereError",
    "The certificate is not registered in this account and Region",
    means="There is no certificate with this id in this account and Region.",
    causes=(
        "It was registered in another account or Region, or was deleted.",
        "A just-in-time registration never began: see the reasons about the CA.",
    ),
    next_step="Register it here, or have the device use the endpoint of the account that has it.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "aws iot create-keys-and-certificate --certificate-pem-outfile {code}.pem",
        ("AWS_DEFAULT_REGION=eu-west-1 factory explain --certificate {code}.pem  # "
        "{code}"),
    ),
)  # fmt: skip
NOT_PROVISIONED: Final = Row(
    "FB-802", "NotProvisionedError", "The device is not provisioned",
    means="The account has no thing of the device's name, or the thing has no certificate.",
    causes=(
        "The device has not booted, or its provisioning failed.",
        "The thing or its certificate was deleted.",
    ),
    next_step="Boot the device again, and read its messages; device doctor says why it fails.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        MAKE,
        "factory explain --serial {code}  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_INACTIVE: Final = Row(
    "FB-803", "CertificateInactiveError", "The certificate is INACTIVE",
    means="AWS IoT knows the certificate, and refuses every connection made with it.",
    causes=(
        "Someone set it INACTIVE, or another device took its serial number.",
        "The template or the Lambda registered it INACTIVE.",
    ),
    next_step="If the device should work: aws iot update-certificate --new-status ACTIVE "
    "--certificate-id ID.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        ("ARN=$(aws iot create-keys-and-certificate --certificate-pem-outfile "
        "{code}.pem --query certificateArn --output text)"),
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_REVOKED: Final = Row(
    "FB-804", "CertificateRevokedError", "The certificate is REVOKED",
    means="AWS IoT refuses every connection made with a REVOKED certificate, for good.",
    causes=("Someone set it REVOKED.",),
    next_step="Give the device a new certificate: factory make --again.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        CERTIFICATE,
        "aws iot update-certificate --certificate-id ${ARN##*/} --new-status REVOKED",
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_PENDING: Final = Row(
    "FB-805", "CertificatePendingError", "The certificate still waits for its activation",
    means="The certificate was registered at its first connection, and nothing activated it.",
    causes=(
        "The template of the CA failed, and AWS IoT does not try it again.",
        "The rule or its Lambda is missing, or failed.",
        "The certificate is on its way to another account (PENDING_TRANSFER).",
    ),
    next_step="Correct what the next reason names, delete the certificate (aws iot "
    "delete-certificate --certificate-id ID), and boot the device again.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "factory make --method jitr --serial {code} --out {code} --not-allowed",
        "DEVICE_JUST_IN_TIME__BUDGET=0 device boot --state {code} || true",
        "factory explain --serial {code}  # {code}",
    ),
)  # fmt: skip
CERTIFICATE_ENDED: Final = Row(
    "FB-806", "CertificateEndedError", "The certificate is not valid now",
    means="The certificate is not valid yet, or has expired.",
    causes=("The device did not renew it in time.", "A CA issued it with wrong times."),
    next_step="Renew the certificate if it is still valid, or make the device again.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        ("openssl req -newkey rsa:2048 -nodes -keyout {code}.key -out {code}.csr -subj "
        "/CN={code}"),
        "openssl x509 -req -in {code}.csr -signkey {code}.key -days 0 -out {code}.pem; sleep 1",
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
NO_THING: Final = Row(
    "FB-807", "NoThingError", "The certificate is not attached to the client id's thing",
    means="A policy that names the thing by a variable allows nothing to such a connection.",
    causes=(
        "The certificate was never attached, or was attached to another thing.",
        "The client id is not the name of the thing, and the attachment is not exclusive.",
    ),
    next_step="Attach it: aws iot attach-thing-principal --thing-name NAME --principal ARN; or use "
    "the thing's name as the client id.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        CERTIFICATE,
        ("aws iot create-policy --policy-name {code} --policy-document '{\"Version\": "
        '"2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iot:Connect", '
        "\"Resource\": \"arn:aws:iot:*:*:client/${iot:Connection.Thing.ThingName}\"}]}'"),
        "aws iot attach-policy --policy-name {code} --target $ARN",
        "factory explain --certificate {code}.pem --client-id {code}  # {code}",
    ),
)  # fmt: skip
NO_POLICY: Final = Row(
    "FB-808", "NoPolicyError", "No policy is attached to the certificate",
    means="AWS IoT denies everything that no policy allows, also the connection.",
    causes=(
        "The template or the script that registered the certificate attaches no policy.",
        "The policy was detached, or a renewal left it on the old certificate.",
    ),
    next_step="Attach one: aws iot attach-policy --policy-name NAME --target ARN.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        CERTIFICATE,
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
ACTION_NOT_ALLOWED: Final = Row(
    "FB-809", "ActionNotAllowedError", "No policy allows the action",
    means="No statement in the policies of this client allows the action on the resource.",
    causes=(
        "The resource of the statement is narrower than the client id or the topic.",
        "A variable of the statement has no value for this client.",
        "Subscribe is for topicfilter/, and Publish and Receive are for topic/.",
    ),
    next_step=_POLICY_STEP, exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        CERTIFICATE,
        "aws iot attach-policy --policy-name firstboot-claim --target $ARN",
        "factory explain --certificate {code}.pem --client-id my-laptop  # {code}",
    ),
)  # fmt: skip
ACTION_DENIED: Final = Row(
    "FB-810", "ActionDeniedError", "A policy denies the action",
    means="A statement with Effect Deny matches, and overrides every Allow.",
    causes=("A policy of the certificate or of a thing group denies it.",),
    next_step=_POLICY_STEP, exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        CERTIFICATE,
        ("aws iot create-policy --policy-name {code} --policy-document '{\"Version\": "
        '"2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iot:Connect", '
        "\"Resource\": \"*\"}]}'"),
        "aws iot attach-policy --policy-name {code} --target $ARN",
        "factory explain --certificate {code}.pem --client-id a  # {code}",
    ),
)  # fmt: skip
WRONG_ENDPOINT: Final = Row(
    "FB-811", "WrongEndpointError", "The endpoint belongs to another account or Region",
    means="The device connects to an endpoint that does not belong to this account and Region.",
    causes=("The settings were copied from another account or Region.",),
    next_step="Use the account's own: aws iot describe-endpoint --endpoint-type iot:Data-ATS.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        MAKE,
        BOOT,
        ("factory explain --serial {code} --endpoint "
        "abc-ats.iot.us-west-2.amazonaws.com  # {code}"),
    ),
)  # fmt: skip
CLIENT_ID_TAKEN: Final = Row(
    "FB-812", "ClientIdTakenError", "Another client connects with the same client id",
    means="AWS IoT ended a connection because another client connected with the same client id.",
    causes=(
        "Two devices have the same name, or a test client uses the device's name.",
        "A device was copied with its storage.",
    ),
    next_step="Give each client its own id; only the device may use the thing's name.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        MAKE,
        BOOT,
        "cp -r {code} {code}.twin",
        "device run --state {code} & one=$!",
        "device run --state {code}.twin & two=$!; sleep 2",
        "factory explain --serial {code} --local-aws .firstboot/cloud  # {code}",
        "kill $one $two",
    ),
)  # fmt: skip
CONNECTION_ENDED: Final = Row(
    "FB-813", "ConnectionEndedError", "AWS IoT ended the last connection",
    means="The registry says why the last connection with this client id ended.",
    causes=(
        "The client sent an invalid packet (CLIENT_ERROR), or too many (THROTTLED).",
        "The policy does not allow what it did (AUTH_ERROR, FORBIDDEN_ACCESS).",
        "It sent nothing for too long (MQTT_KEEP_ALIVE_TIMEOUT).",
    ),
    next_step="Look the reason up in the developer guide, Lifecycle events.",
    exit_code=ExitCode.TRY_LATER, kind=DeviceRefusedError,
    reproduce=(
        MAKE,
        BOOT,
        "device doctor --state {code} --publish a/b/c/d/e/f/g/h/i || true",
        "factory explain --serial {code}  # {code}",
    ),
)  # fmt: skip
CA_NOT_REGISTERED: Final = Row(
    "FB-814", "CaNotRegisteredError", "The CA of the certificate is not registered here",
    means="AWS IoT registers a certificate at its first connection only if its CA is registered.",
    causes=("The CA was not registered in this account and Region, or was deleted.",),
    next_step="Register the CA: factory prepare --method jitp or jitr.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout {code}.key -out "
        "{code}.pem -subj /CN={code}"),
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
CA_TURNED_OFF: Final = Row(
    "FB-815", "CaTurnedOffError", "The CA is registered, but does not register devices",
    means="The CA is INACTIVE, or its auto-registration is DISABLED, or it has expired.",
    causes=("Someone turned it off.", "The CA's own certificate has ended."),
    next_step="Run factory prepare again, which turns it on.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        JUST_IN_TIME,
        ("CA=$(aws iot list-ca-certificates --query 'certificates[0].certificateId' "
        "--output text)"),
        "aws iot update-ca-certificate --certificate-id $CA --new-status INACTIVE",
        "factory explain --serial {code}  # {code}",
        "aws iot update-ca-certificate --certificate-id $CA --new-status ACTIVE",
    ),
)  # fmt: skip
TEMPLATE_UNUSABLE: Final = Row(
    "FB-816", "TemplateUnusableError", "The provisioning template cannot be used",
    means="The template is missing or disabled, or names what the account does not have.",
    causes=(
        "The template was disabled or deleted.",
        "The policy, thing type or thing group that it names was deleted.",
    ),
    next_step="Run factory prepare again, which repairs it.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        JUST_IN_TIME,
        ("aws iot update-provisioning-template --template-name firstboot-jitp "
        "--no-enabled"),
        "factory explain --serial {code}  # {code}",
        ("aws iot update-provisioning-template --template-name firstboot-jitp "
        "--enabled"),
    ),
)  # fmt: skip
ROLE_UNUSABLE: Final = Row(
    "FB-817", "RoleUnusableError", "The provisioning role cannot be used",
    means="AWS IoT registers devices under a role, which is missing or lacks rights.",
    causes=(
        "The role was deleted, or AWS IoT may not assume it.",
        "The policy AWSIoTThingsRegistration was detached from it.",
    ),
    next_step="Run factory prepare again, which repairs it.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        ("aws iam detach-role-policy --role-name firstboot-provisioning "
        "--policy-arn arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"),
        "factory explain --serial {code}  # {code}",
        ("aws iam attach-role-policy --role-name firstboot-provisioning "
        "--policy-arn arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"),
    ),
)  # fmt: skip
FUNCTION_UNUSABLE: Final = Row(
    "FB-818", "FunctionUnusableError", "A Lambda that decides about devices cannot be called",
    means="The Lambda of a hook, a rule or a certificate provider is missing, or AWS IoT may not "
    "invoke it.",
    causes=("The function was deleted.", "Its permission for iot.amazonaws.com was removed."),
    next_step="Run factory prepare again, which repairs it. The function's log says more.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "factory make --method jitr --serial {code} --out {code}",
        "aws lambda delete-function --function-name firstboot-jitr-activate",
        "factory explain --serial {code}  # {code}",
        "factory prepare --method jitr",
    ),
)  # fmt: skip
RULE_UNUSABLE: Final = Row(
    "FB-819", "RuleUnusableError", "No rule gets the events of new certificates",
    means="A topic rule starts the Lambda of just-in-time registration. It is missing or disabled.",
    causes=("The rule was disabled or deleted.",),
    next_step="Run factory prepare --method jitr again, which repairs it.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "factory make --method jitr --serial {code} --out {code}",
        "aws iot disable-topic-rule --rule-name firstboot_jitr",
        "factory explain --serial {code}  # {code}",
        "factory prepare --method jitr",
    ),
)  # fmt: skip
NOT_ON_THE_LIST: Final = Row(
    "FB-820", "NotOnTheListError", "The serial number is not on the allow-list",
    means="The Lambda activates only devices that the station put on the allow-list.",
    causes=("The device was not made by this station.", "Its entry names another certificate."),
    next_step="Make the device at the station, which puts it on the list.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "factory make --method jitr --serial {code} --out {code} --not-allowed",
        "factory explain --serial {code}  # {code}",
    ),
)  # fmt: skip
BROKER_REFUSED: Final = Row(
    "FB-821", "BrokerRefusedError", "The local AWS saw why it refused the client",
    means="The wire log of the local AWS has the packet that was refused, and the reason.",
    causes=("The client sent something that its policy or AWS IoT does not allow.",),
    next_step="Compare with localcloud wire, which shows the packets before it.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        MAKE,
        BOOT,
        "device doctor --state {code} --publish other/topic || true",
        "factory explain --serial {code} --local-aws .firstboot/cloud  # {code}",
    ),
)  # fmt: skip
NOT_EXCLUSIVE: Final = Row(
    "FB-822", "NotExclusiveError", "The certificate is shared by several things",
    means="The certificate is attached to more than one thing.",
    causes=("One certificate was put into several devices.",),
    next_step="Give each device a certificate of its own.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        "factory single --serial {code} --out {code} --no-exclusive",
        BOOT,
        "aws iot create-thing --thing-name {code}-other",
        ("aws iot attach-thing-principal --thing-name {code}-other --principal "
        "$(aws iot list-thing-principals --thing-name {code} --query "
        "'principals[0]' --output text)"),
        "factory explain --serial {code}  # {code}",
    ),
)  # fmt: skip
NOTHING_TO_EXPLAIN: Final = Row(
    "FB-823", "NothingToExplainError", "There is nothing to explain",
    means="factory explain needs a serial number, a certificate or a code.",
    causes=("The option was left out.", "The file holds no certificate."),
    next_step="factory explain --serial SN, --certificate FILE, or FB-nnn.",
    exit_code=ExitCode.MISUSE,
    reproduce=(
        "factory explain  # {code}",
    ),
)  # fmt: skip
SUBJECT_LACKS_FIELD: Final = Row(
    "FB-824", "SubjectLacksFieldError", "The certificate's subject lacks what the template needs",
    means="A just-in-time template takes a parameter from the subject, and gives it no Default.",
    causes=("The CA issues certificates without the field.",),
    next_step="Issue a certificate whose subject has it, or give the parameter a Default.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=(
        ("openssl req -x509 -newkey rsa:2048 -nodes -keyout {code}-ca.key -out {code}-ca.pem "
        "-subj /CN={code}-ca"),
        ("aws iot register-ca-certificate --ca-certificate file://{code}-ca.pem "
        "--certificate-mode SNI_ONLY --set-as-active --allow-auto-registration "
        "--registration-config '{\"templateName\": \"firstboot-jitp\"}'"),
        ("openssl req -newkey rsa:2048 -nodes -keyout {code}.key -out {code}.csr -subj "
        "/CN={code}"),
        ("openssl x509 -req -in {code}.csr -CA {code}-ca.pem -CAkey {code}-ca.key "
        "-CAcreateserial -out {code}.pem"),
        "factory explain --certificate {code}.pem  # {code}",
    ),
)  # fmt: skip
UNKNOWN_SERIAL: Final = Row(
    "FB-825", "UnknownSerialError", "Neither the account nor the station knows the serial number",
    means="The account has no thing of this name in this Region, and the station's ledger has no "
    "line about it.",
    causes=(
        "The serial number is misspelt.",
        "The credentials or the Region are those of another account.",
        "Another station made the device.",
    ),
    next_step="Check the serial number, the account and the Region; --station names the folder of "
    "the station that made the device.",
    exit_code=_DENIED, kind=DeviceRefusedError,
    reproduce=("factory explain --serial {code}  # {code}",),
)  # fmt: skip
