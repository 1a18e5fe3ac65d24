"""What an account shows: why AWS IoT refuses a certificate, a client id or a topic."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from device.identity.certificates import leaf_of
from device.storage.device_storage import open_device_storage
from factory.account import allow_list
from factory.diagnosis.subject import Asked
from factory.methods import jitr
from factory.station.ledger import Entry, Result
from tests.diagnose.account import AccountCause, Plant, Registered
from tests.support.devices import installed_chain
from tests.wire.raw_mqtt import RawMqtt

TEMPLATE: Final = "firstboot-claim"
HOOK: Final = "firstboot-claim-hook"
ROLE: Final = "firstboot-provisioning"


def of(device: Registered, **more: Any) -> Asked:
    return Asked(serial=device.name, **more)


# --- the certificate ------------------------------------------------------------------------


def deleted(plant: Plant) -> Asked:
    device = plant.device()
    plant.iot.update_certificate(certificateId=device.certificate_id, newStatus="INACTIVE")
    plant.iot.detach_thing_principal(thingName=device.name, principal=device.arn)
    plant.iot.delete_certificate(certificateId=device.certificate_id, forceDelete=True)
    return Asked(certificate_pem=device.pem)


def unknown(plant: Plant) -> Asked:
    return Asked(serial=plant.name())


def never_booted(plant: Plant) -> Asked:
    name = plant.name()
    made = Entry(
        serial_number=name, device_id="d", at=datetime.now(UTC), method="claim", batch=None,
        result=Result.MADE, folder=f"devices/{name}",
    )  # fmt: skip
    return Asked(serial=name, made=made)


def detached(plant: Plant) -> Asked:
    device = plant.device()
    plant.iot.detach_thing_principal(thingName=device.name, principal=device.arn)
    return of(device)


def with_status(status: str) -> Callable[[Plant], Asked]:
    def plant_it(plant: Plant) -> Asked:
        device = plant.device()
        plant.iot.update_certificate(certificateId=device.certificate_id, newStatus=status)
        return of(device)

    return plant_it


def not_valid(now: timedelta) -> Callable[[Plant], Asked]:
    def plant_it(plant: Plant) -> Asked:
        device = plant.device()
        plant.now = datetime.now(UTC) + now
        return of(device)

    return plant_it


def shared(plant: Plant) -> Asked:
    device, other = plant.device(), plant.name()
    plant.iot.create_thing(thingName=other)
    plant.iot.attach_thing_principal(thingName=other, principal=device.arn)
    return of(device)


# --- the policy -----------------------------------------------------------------------------


def without_policy(plant: Plant) -> Asked:
    return of(plant.device(policy=False))


def without_thing(plant: Plant) -> Asked:
    return Asked(certificate_pem=plant.device(thing=False).pem, client_id="SN-9")


def another_client_id(*, exclusive: bool) -> Callable[[Plant], Asked]:
    return lambda plant: of(plant.device(exclusive=exclusive), client_id="mqttjs_1")


def policy_of(
    statements: Callable[[Plant], list[dict[str, Any]]], **asked: Any
) -> Callable[[Plant], Asked]:
    return lambda plant: of(plant.device(*statements(plant)), **asked)


def in_a_group(plant: Plant) -> Asked:
    device, group = plant.device(), plant.name()
    plant.policy(group, [plant.statement("Publish", "topic/*", "Deny")])
    arn = plant.iot.create_thing_group(thingGroupName=group)["thingGroupArn"]
    plant.iot.attach_policy(policyName=group, target=arn)
    plant.iot.add_thing_to_thing_group(thingGroupName=group, thingName=device.name)
    return of(device, publish=(f"dt/{device.name}/telemetry",))


def only_if_attached(plant: Plant) -> list[dict[str, Any]]:
    condition = {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}
    return [{**plant.statement("Connect", "client/*"), "Condition": condition}]


# --- the connection -------------------------------------------------------------------------


def other_endpoint(plant: Plant) -> Asked:
    return of(plant.device(), endpoint="abc-ats.iot.us-west-2.amazonaws.com:8883")


def twin(plant: Plant) -> Asked:
    device, plant.sees_the_wire = plant.device(), True
    with RawMqtt(plant.line.cloud, device.credential, 5) as first:
        first.connect(device.name)
        with RawMqtt(plant.line.cloud, device.credential, 5) as second:
            second.connect(device.name)
            assert first.is_closed()
            return of(device)


def garbage(plant: Plant) -> Asked:
    device = plant.device()
    with RawMqtt(plant.line.cloud, device.credential) as client:
        client.connect(device.name)
        client.send(b"\xf0\x00")
        assert client.is_closed()
    return of(device)


# --- just in time ---------------------------------------------------------------------------


def newcomer(plant: Plant, **registration: Any) -> Asked:
    name = plant.name()
    issued = plant.authority(**registration).issue({"common_name": name})
    return Asked(certificate_pem=issued.certificate_pem.encode(), serial=name)


def ca_turned_off(plant: Plant) -> Asked:
    name, ca = plant.name(), plant.authority()
    plant.iot.update_ca_certificate(certificateId=ca.certificate_id, newStatus="INACTIVE")
    return Asked(certificate_pem=ca.issue({"common_name": name}).certificate_pem.encode())


def in_time_by(
    body: dict[str, Any], spoil: Callable[[Plant, str], object] = lambda *_: None
) -> Callable[[Plant], Asked]:
    """Plant a CA with a template of its own."""

    def plant_it(plant: Plant) -> Asked:
        name = plant.name()
        role = plant.line.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"]
        plant.iot.create_provisioning_template(
            templateName=name, templateBody=json.dumps(body), provisioningRoleArn=role,
            enabled=True, type="JITP",
        )  # fmt: skip
        plant.undo.callback(plant.iot.delete_provisioning_template, templateName=name)
        asked = newcomer(plant, registrationConfig={"templateName": name})
        spoil(plant, name)
        return asked

    return plant_it


def disable(plant: Plant, name: str) -> None:
    plant.iot.update_provisioning_template(templateName=name, enabled=False)


def jitp_body(*, field: str = "CommonName", **thing: Any) -> dict[str, Any]:
    parameter = f"AWS::IoT::Certificate::{field}"
    return {
        "Parameters": {key: {"Type": "String"} for key in (parameter, "AWS::IoT::Certificate::Id")},
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {"ThingName": {"Ref": parameter}, **thing},
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "ACTIVE",
                },
            },
            "policy": {
                "Type": "AWS::IoT::Policy",
                "Properties": {"PolicyName": "firstboot-device"},
            },
        },
    }  # fmt: skip


def with_policy(name: str) -> dict[str, Any]:
    body = jitp_body()
    body["Resources"]["policy"]["Properties"]["PolicyName"] = name
    return body


# --- what the station prepared ---------------------------------------------------------------


def claim_template_disabled(plant: Plant) -> Asked:
    disable(plant, TEMPLATE)
    change = {"templateName": TEMPLATE, "enabled": True}
    plant.undo.callback(lambda: plant.iot.update_provisioning_template(**change))
    return Asked(serial=allowed(plant))


def allowed(plant: Plant) -> str:
    """Return a serial number that is on the allow-list."""
    name = plant.name()
    allow_list.allow_with_proof(plant.line.aws, name, b"key")
    return name


def role_without_rights(plant: Plant) -> Asked:
    iam = plant.line.client("iam")
    rights = "arn:aws:iam::aws:policy/service-role/AWSIoTThingsRegistration"
    iam.detach_role_policy(RoleName=ROLE, PolicyArn=rights)
    plant.undo.callback(lambda: iam.attach_role_policy(RoleName=ROLE, PolicyArn=rights))
    return Asked(serial=allowed(plant))


def role_gone(plant: Plant) -> Asked:
    body, name = jitp_body(), plant.name()
    iam = plant.line.client("iam")
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
        "Action": "sts:AssumeRole"}]}  # fmt: skip
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    plant.iot.create_provisioning_template(
        templateName=name, templateBody=json.dumps(body), provisioningRoleArn=arn, enabled=True,
        type="JITP",
    )  # fmt: skip
    plant.undo.callback(plant.iot.delete_provisioning_template, templateName=name)
    asked = newcomer(plant, registrationConfig={"templateName": name})
    iam.delete_role(RoleName=name)
    return asked


def not_to_be_invoked(plant: Plant) -> Asked:
    functions = plant.line.client("lambda")
    functions.remove_permission(FunctionName=HOOK, StatementId="firstboot-iot")
    again = ("prepare", "--method", "claim", "--hook")
    plant.undo.callback(lambda: plant.line.run(*again))
    return Asked(serial=allowed(plant))


def jitr_newcomer(plant: Plant) -> Asked:
    """Return a device whose CA has no template, so that a rule decides."""
    return newcomer(plant)


def not_listed(plant: Plant) -> Asked:
    return Asked(serial=plant.name())


def taken(plant: Plant) -> Asked:
    name = plant.name()
    table = plant.line.client("dynamodb")
    table.put_item(
        TableName=allow_list.TABLE,
        Item={"SerialNumber": {"S": name}, "CertificateId": {"S": "0" * 64}},
    )
    issued = plant.authority().issue({"common_name": name})
    return Asked(certificate_pem=issued.certificate_pem.encode(), serial=name)


def of_the_station(plant: Plant, name: str) -> Asked:
    """Return a device of the station's own jitr, before its first boot."""
    state = plant.line.of("jitr").make(plant.line.folder / name)
    with open_device_storage(state, read_only=True) as storage:
        return Asked(serial=name, certificate_pem=leaf_of(installed_chain(storage)))


def rule_disabled(plant: Plant) -> Asked:
    plant.iot.disable_topic_rule(ruleName=jitr.RULE)
    plant.undo.callback(lambda: plant.iot.enable_topic_rule(ruleName=jitr.RULE))
    return of_the_station(plant, plant.name())


def rule_function_gone(plant: Plant) -> Asked:
    plant.line.client("lambda").delete_function(FunctionName=jitr.FUNCTION)
    plant.undo.callback(plant.line.of("jitr").prepare)
    return of_the_station(plant, plant.name())


def waits_for_ever(plant: Plant) -> Asked:
    asked = newcomer(plant)
    issued = plant.authority().issue({"common_name": str(asked.serial)})
    plant.touch(issued)
    return Asked(certificate_pem=issued.certificate_pem.encode(), serial=asked.serial)


_DAY: Final = timedelta(days=1)

_BY_ITSELF: Final = [
    AccountCause(
        "the certificate was deleted, or is another account's", "FB-801", "has no",
        deleted,
    ),
    AccountCause("the serial number is unknown", "FB-825", "does not name it", unknown),
    AccountCause("the device was made, but never booted", "FB-802", "ledger says", never_booted),
    AccountCause("the thing lost its certificate", "FB-802", "no certificate", detached),
    AccountCause("the certificate is INACTIVE", "FB-803", "INACTIVE", with_status("INACTIVE")),
    AccountCause("the certificate is REVOKED", "FB-804", "REVOKED", with_status("REVOKED")),
    AccountCause("PENDING_ACTIVATION for ever", "FB-805", "PENDING", waits_for_ever),
    AccountCause("the certificate has expired", "FB-806", "valid from", not_valid(40_000 * _DAY)),
    AccountCause("the certificate is not valid yet", "FB-806", "valid from", not_valid(-9 * _DAY)),
    AccountCause("one certificate in several devices", "FB-822", "attached to", shared),
    AccountCause("no policy is attached", "FB-808", "no policy", without_policy),
    AccountCause("the certificate is attached to no thing", "FB-807", "no thing", without_thing),
    AccountCause(
        "the client id is not the thing's name, and the attachment is not exclusive", "FB-809",
        "no value", another_client_id(exclusive=False),
    ),
    AccountCause(
        "the client id is not the thing's name, and the attachment is exclusive", "FB-809",
        "is for client/DX-", another_client_id(exclusive=True),
    ),
    AccountCause(
        "the policy is for another client id", "FB-809", "is for client/other only",
        policy_of(lambda plant: plant.usual("other")),
    ),
    AccountCause(
        "a statement denies it", "FB-810", "statement 3 denies iot:Connect",
        policy_of(lambda p: [*p.usual(), p.statement("Connect", "client/DX-*", "Deny")]),
    ),
    AccountCause("a thing group's policy denies it", "FB-810", "denies iot:Publish", in_a_group),
    AccountCause(
        "a condition is not met", "FB-809", "IsAttached",
        policy_of(only_if_attached, client_id="someone"),
    ),
    AccountCause(
        "the policy allows another topic", "FB-809", "iot:Publish on topic/a: policy",
        policy_of(lambda plant: plant.usual(), publish=("a",)),
    ),
    AccountCause(
        "Subscribe names topic/ instead of topicfilter/", "FB-809", "is for topic/a only",
        policy_of(lambda p: [*p.usual(), p.statement("Subscribe", "topic/a")], subscribe=("a",)),
    ),
    AccountCause(
        "Subscribe is allowed, and Receive is not", "FB-809", "no statement allows iot:Receive",
        policy_of(
            lambda p: [*p.usual(), p.statement("Subscribe", "topicfilter/a")], subscribe=("a",)
        ),
    ),
    AccountCause(
        "the policy names a field that the subject lacks", "FB-809", "SerialNumber",
        policy_of(lambda p: p.usual("${iot:Certificate.Subject.SerialNumber}")),
    ),
    AccountCause("the endpoint is another Region's", "FB-811", "us-west-2", other_endpoint),
    AccountCause("another client has the same client id", "FB-812", "142", twin),
    AccountCause("the client sends what is not MQTT", "FB-813", "CLIENT_ERROR", garbage),
    AccountCause(
        "the CA is not registered", "FB-814", "is not registered",
        lambda plant: newcomer(plant, registered=False),
    ),
    AccountCause("the CA is INACTIVE", "FB-815", "is INACTIVE", ca_turned_off),
    AccountCause(
        "the CA's auto-registration is off", "FB-815", "auto-registration",
        lambda plant: newcomer(plant, allowAutoRegistration=False),
    ),
]  # fmt: skip

_OF_A_STATION: Final = [
    AccountCause(
        "the CA's template is disabled", "FB-816", "is disabled",
        in_time_by(jitp_body(), disable),
    ),
    AccountCause(
        "the template names a policy that is gone", "FB-816", "PolicyName gone",
        in_time_by(with_policy("gone")),
    ),
    AccountCause(
        "the template names a group that is gone", "FB-816", "group gone",
        in_time_by(jitp_body(ThingGroups=["gone"])),
    ),
    AccountCause(
        "the template names a type that is gone", "FB-816", "ThingTypeName gone",
        in_time_by(jitp_body(ThingTypeName="gone")),
    ),
    AccountCause(
        "the subject lacks what the template takes", "FB-824", "SerialNumber",
        in_time_by(jitp_body(field="SerialNumber")),
    ),
    AccountCause(
        "the claim's template is disabled", "FB-816", "is disabled",
        claim_template_disabled,
    ),
    AccountCause(
        "the provisioning role has no rights", "FB-817", "has no policy",
        role_without_rights,
    ),
    AccountCause("the provisioning role is gone", "FB-817", "is missing", role_gone),
    AccountCause("AWS IoT may not invoke the hook", "FB-818", "may not invoke", not_to_be_invoked),
    AccountCause("the rule's Lambda is gone", "FB-818", "is missing", rule_function_gone),
    AccountCause(
        "the rule for new certificates is disabled", "FB-819", "is disabled",
        rule_disabled,
    ),
    AccountCause("no rule is for the CA", "FB-819", "no rule", jitr_newcomer),
    AccountCause("the serial number is not on the allow-list", "FB-820", "is not in", not_listed),
    AccountCause("another certificate took the serial number", "FB-820", "taken by", taken),
]  # fmt: skip

ACCOUNT_CAUSES: Final = [
    *_BY_ITSELF,
    *(replace(each, is_prepared=True) for each in _OF_A_STATION),
]
