"""Just-in-time provisioning: the template of a device's CA is applied on its first connection."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from awscrt.exceptions import AwsCrtError
from botocore.exceptions import ClientError
from cryptography import x509

from localcloud.process.state_folder import StateFolder
from tests.wire.conftest import LocalCloud, free_ports, running
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    THE_ID,
    THINGS_REGISTRATION,
    Authority,
    knock,
    make_role,
    mark,
    new_authority,
    policies_of,
    register_ca,
    status_of,
    template,
    until,
)
from tests.wire.localcloud_sdk import (
    Credential,
    NotLetInError,
    mqtt5_client,
    mqtt311_connection,
    publish,
)

pytestmark = pytest.mark.wire
PSEUDO = "AWS::IoT::Certificate::"
CN = f"{PSEUDO}CommonName"
NAMED_AFTER_CN = {"ThingName": {"Ref": CN}}
INLINE = {"PolicyDocument": DEVICE_POLICY}


@pytest.fixture(scope="module", autouse=True)
def fast(local_cloud: LocalCloud) -> Iterator[None]:
    """AWS takes some two seconds; tests need not."""
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.1})
    yield
    local_cloud.admin("PUT", "settings", before)


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


@pytest.fixture(scope="module")
def role(local_cloud: LocalCloud) -> str:
    return make_role(local_cloud, THINGS_REGISTRATION)


def authority_with(iot: Any, role: str, body: str, **options: Any) -> Authority:
    authority = new_authority()
    config = {"templateBody": body, "roleArn": role}
    register_ca(iot, authority, registrationConfig=config, **options)
    return authority


def first_boot(cloud: LocalCloud, iot: Any, leaf: Credential, client_id: str) -> None:
    """Be dropped, and wait until the certificate is ACTIVE."""
    knock(cloud, leaf, client_id)
    until(lambda: status_of(iot, leaf.certificate_id), "ACTIVE")


def stays_pending(cloud: LocalCloud, iot: Any, leaf: Credential, client_id: str) -> None:
    """Knock until another device, that knocked after this one, is provisioned: so was its turn."""
    knock(cloud, leaf, client_id)
    role = make_role(cloud, THINGS_REGISTRATION)
    other = authority_with(iot, role, template(NAMED_AFTER_CN, INLINE, parameters=(CN,)))
    name = mark("other")
    first_boot(cloud, iot, other.issue({"CN": name}), name)
    assert status_of(iot, leaf.certificate_id) == "PENDING_ACTIVATION"


# --- how it goes ---------------------------------------------------------------------


@pytest.mark.parametrize("chain", [False, True], ids=["leaf-alone", "with-its-ca"])
def test_a_device_is_dropped_once_and_then_works(
    local_cloud: LocalCloud, iot: Any, role: str, chain: bool
) -> None:
    authority = authority_with(iot, role, template(NAMED_AFTER_CN, INLINE, parameters=(CN,)))
    name = mark("SN")
    leaf = authority.issue({"CN": name}, chain=chain)
    first_boot(local_cloud, iot, leaf, name)
    with mqtt5_client(local_cloud, leaf, name) as device:
        assert publish(device, f"dt/{name}/telemetry") == 0
    principals = iot.list_thing_principals(thingName=name)["principals"]
    assert [arn.rpartition("/")[2] for arn in principals] == [leaf.certificate_id]


def test_it_is_registered_pending_at_once_and_active_later(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 3600})
    try:
        authority = authority_with(iot, role, template(NAMED_AFTER_CN, INLINE, parameters=(CN,)))
        leaf = authority.issue({"CN": mark("SN")})
        knock(local_cloud, leaf, "any")
    finally:
        local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.1})
    assert status_of(iot, leaf.certificate_id) == "PENDING_ACTIVATION"
    knock(local_cloud, leaf, "any")


def test_mqtt_5_is_dropped_too(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    authority = authority_with(iot, role, template(NAMED_AFTER_CN, INLINE, parameters=(CN,)))
    leaf = authority.issue({"CN": mark("SN")})
    with pytest.raises(NotLetInError), mqtt5_client(local_cloud, leaf, "any"):
        pass
    until(lambda: status_of(iot, leaf.certificate_id), "ACTIVE")


def test_a_template_by_name(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    name = mark("template")
    iot.create_provisioning_template(
        templateName=name,
        type="JITP",
        provisioningRoleArn=role,
        templateBody=template(NAMED_AFTER_CN, INLINE, parameters=(CN,)),
    )  # without `enabled`, as in the developer guide
    authority, thing = new_authority(), mark("SN")
    register_ca(iot, authority, registrationConfig={"templateName": name})
    first_boot(local_cloud, iot, authority.issue({"CN": thing}), thing)
    assert iot.describe_thing(thingName=thing)["thingName"] == thing


# --- what the template may say -------------------------------------------------------


def test_every_field_of_the_subject_is_a_parameter(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    fields = {
        "Country": ("C", "DE"),
        "Organization": ("O", "Example"),
        "OrganizationalUnit": ("OU", "Lamps"),
        "DistinguishedNameQualifier": ("dnQualifier", "q7"),
        "StateName": ("ST", "Bavaria"),
        "SerialNumber": ("serialNumber", "4711"),
    }
    kind = mark("type")
    iot.create_thing_type(thingTypeName=kind)
    thing = {
        **NAMED_AFTER_CN,
        "ThingTypeName": kind,
        "AttributePayload": {
            **{name: {"Ref": PSEUDO + name} for name in fields},
            "id": {"Ref": THE_ID},
        },
    }
    declared = tuple(PSEUDO + name for name in (*fields, "CommonName", "Id"))
    authority = authority_with(iot, role, template(thing, INLINE, parameters=declared))
    name = mark("SN")
    leaf = authority.issue({"CN": name, **dict(fields.values())})
    first_boot(local_cloud, iot, leaf, name)
    wanted = {field: value for field, (_part, value) in fields.items()}
    assert iot.describe_thing(thingName=name)["attributes"] == {
        **wanted,
        "id": leaf.certificate_id,
    }


def test_a_default_stands_in_for_a_missing_field(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    country = f"{PSEUDO}Country"
    thing = {**NAMED_AFTER_CN, "AttributePayload": {"country": {"Ref": country}}}
    body = template(
        thing,
        INLINE,
        parameters=(CN,),
        Parameters={country: {"Type": "String", "Default": "unknown"}},
    )
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name})
    first_boot(local_cloud, iot, leaf, name)
    assert iot.describe_thing(thingName=name)["attributes"] == {"country": "unknown"}


def test_a_policy_by_name_and_one_inline(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    named, name = mark("policy"), mark("SN")
    iot.create_policy(policyName=named, policyDocument=DEVICE_POLICY)
    body = template(NAMED_AFTER_CN, {"PolicyName": named}, INLINE, parameters=(CN,))
    leaf = authority_with(iot, role, body).issue({"CN": name})
    first_boot(local_cloud, iot, leaf, name)
    attached = policies_of(iot, leaf.certificate_id)
    assert named in attached
    assert len(attached) == 2


def test_merge_adds_to_a_thing_that_exists(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    name, old, new = mark("SN"), mark("group"), mark("group")
    for group in (old, new):
        iot.create_thing_group(thingGroupName=group)
    iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1", "b": "1"}})
    iot.add_thing_to_thing_group(thingGroupName=old, thingName=name)
    thing = {**NAMED_AFTER_CN, "AttributePayload": {"b": "2"}, "ThingGroups": [new]}
    overrides = {"AttributePayload": "MERGE", "ThingGroups": "MERGE"}
    body = template(thing, INLINE, parameters=(CN,), overrides=overrides)
    leaf = authority_with(iot, role, body).issue({"CN": name})
    first_boot(local_cloud, iot, leaf, name)
    assert iot.describe_thing(thingName=name)["attributes"] == {"a": "1", "b": "2"}
    groups = iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]
    assert {group["groupName"] for group in groups} == {old, new}


@pytest.mark.parametrize(("setting", "left"), [("DO_NOTHING", {"a": "1"}), ("REPLACE", {"b": "2"})])
def test_a_thing_that_exists_is_left_or_replaced(
    local_cloud: LocalCloud, iot: Any, role: str, setting: str, left: dict[str, str]
) -> None:
    name = mark("SN")
    iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
    thing = {**NAMED_AFTER_CN, "AttributePayload": {"b": "2"}}
    overrides = {"AttributePayload": setting}
    body = template(thing, INLINE, parameters=(CN,), overrides=overrides)
    leaf = authority_with(iot, role, body).issue({"CN": name})
    first_boot(local_cloud, iot, leaf, name)
    assert iot.describe_thing(thingName=name)["attributes"] == left


# --- what goes wrong -----------------------------------------------------------------


def test_a_missing_field_leaves_it_pending_for_good(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN, f"{PSEUDO}Country"))
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name})
    stays_pending(local_cloud, iot, leaf, name)
    stays_pending(local_cloud, iot, leaf, name)
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=name)


def test_a_field_that_the_template_does_not_declare_has_no_value(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    thing = {**NAMED_AFTER_CN, "AttributePayload": {"country": {"Ref": f"{PSEUDO}Country"}}}
    body = template(thing, INLINE, parameters=(CN,))
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name, "C": "DE"})
    stays_pending(local_cloud, iot, leaf, name)


@pytest.mark.parametrize(
    "thing",
    [
        {"ThingGroups": ["no-such-group"]},
        {"ThingTypeName": "no-such-type"},
        {"BillingGroup": "no-such-billing-group"},
        {"AttributePayload": {"organization": "Example Corp"}},
        {"AttributePayload": {"a": "1", "b": "2", "c": "3", "d": "4"}},
    ],
    ids=["group", "type", "billing-group", "a-space", "four-attributes"],
)
def test_what_the_registry_refuses_leaves_it_pending(
    local_cloud: LocalCloud, iot: Any, role: str, thing: dict[str, Any]
) -> None:
    body = template({**NAMED_AFTER_CN, **thing}, INLINE, parameters=(CN,))
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name})
    stays_pending(local_cloud, iot, leaf, name)


def test_a_conflict_leaves_it_pending(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    name = mark("SN")
    iot.create_thing(thingName=name, attributePayload={"attributes": {"a": "1"}})
    thing = {**NAMED_AFTER_CN, "AttributePayload": {"a": "2"}}
    overrides = {"AttributePayload": "FAIL"}
    body = template(thing, INLINE, parameters=(CN,), overrides=overrides)
    leaf = authority_with(iot, role, body).issue({"CN": name})
    stays_pending(local_cloud, iot, leaf, name)
    assert iot.describe_thing(thingName=name)["attributes"] == {"a": "1"}


def test_a_role_that_may_not_leaves_it_pending(local_cloud: LocalCloud, iot: Any) -> None:
    powerless = make_role(local_cloud)
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    name = mark("SN")
    leaf = authority_with(iot, powerless, body).issue({"CN": name})
    stays_pending(local_cloud, iot, leaf, name)


def test_aws_tries_once(local_cloud: LocalCloud, iot: Any) -> None:
    role = make_role(local_cloud)
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name})
    stays_pending(local_cloud, iot, leaf, name)
    rights = {"RoleName": role.rpartition("/")[2], "PolicyArn": THINGS_REGISTRATION}
    local_cloud.client("iam").attach_role_policy(**rights)
    stays_pending(local_cloud, iot, leaf, name)


def test_a_template_that_was_disabled_leaves_it_pending(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    name, thing = mark("template"), mark("SN")
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    iot.create_provisioning_template(
        templateName=name, type="JITP", provisioningRoleArn=role, templateBody=body, enabled=True
    )
    authority = new_authority()
    register_ca(iot, authority, registrationConfig={"templateName": name})
    iot.update_provisioning_template(templateName=name, enabled=False)
    stays_pending(local_cloud, iot, authority.issue({"CN": thing}), thing)


def test_who_activates_it_by_hand_is_not_overruled(
    local_cloud: LocalCloud, iot: Any, role: str
) -> None:
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN, f"{PSEUDO}Country"))
    name = mark("SN")
    leaf = authority_with(iot, role, body).issue({"CN": name})
    knock(local_cloud, leaf, name)
    iot.update_certificate(certificateId=leaf.certificate_id, newStatus="INACTIVE")
    knock(local_cloud, leaf, name)
    assert status_of(iot, leaf.certificate_id) == "INACTIVE"


@pytest.mark.parametrize(
    "options", [{"setAsActive": False}, {"allowAutoRegistration": False}], ids=["inactive", "off"]
)
def test_a_ca_that_is_not_on_registers_nothing(
    local_cloud: LocalCloud, iot: Any, role: str, options: dict[str, bool]
) -> None:
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    leaf = authority_with(iot, role, body, **options).issue({"CN": mark("SN")})
    with pytest.raises(AwsCrtError), mqtt311_connection(local_cloud, leaf, "any"):
        pass
    assert status_of(iot, leaf.certificate_id) == "none"


@pytest.mark.parametrize("registered", [False, True], ids=["stranger", "expired"])
def test_a_leaf_that_tls_refuses_registers_nothing(
    local_cloud: LocalCloud, iot: Any, role: str, registered: bool
) -> None:
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    authority = authority_with(iot, role, body) if registered else new_authority()
    leaf = authority.issue({"CN": mark("SN")}, expired=registered)
    with pytest.raises(AwsCrtError), mqtt311_connection(local_cloud, leaf, "any"):
        pass
    assert status_of(iot, leaf.certificate_id) == "none"


def test_what_was_due_when_the_cloud_stopped_is_done_later(tmp_path: Path) -> None:
    folder, ports, name = StateFolder(tmp_path / "c"), free_ports(), mark("SN")
    with running(folder, ports) as cloud:
        body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
        role = make_role(cloud, THINGS_REGISTRATION)
        leaf = authority_with(cloud.client("iot"), role, body).issue({"CN": name})
        knock(cloud, leaf, name)
    with running(folder, ports) as cloud:
        iot = cloud.client("iot")
        until(lambda: status_of(iot, leaf.certificate_id), "ACTIVE")


# --- what cannot be registered -------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"templateBody": "{"}, "JSON not well-formed"),
        ({"templateBody": "[]"}, "not a JSON object"),
        (
            {"templateBody": template(NAMED_AFTER_CN, parameters=(CN,))},
            "Neither policyName nor policyDocument is present in the Template",
        ),
        (
            {"templateBody": template(NAMED_AFTER_CN, {"PolicyName": ""}, parameters=(CN,))},
            "Neither policyName nor policyDocument is present in the Template",
        ),
        (
            {"templateBody": template({}, INLINE, certificate={"CertificateId": "abc"})},
            "CertificateId must contain a reference",
        ),
        (
            {
                "templateBody": json.dumps(
                    {"Resources": {"p": {"Type": "AWS::IoT::Policy", "Properties": INLINE}}}
                )
            },
            "must have certificate resource",
        ),
        ({"templateBody": template(NAMED_AFTER_CN, INLINE)}, "roleArn is required"),
        ({"templateName": "no-such-template"}, "Unable to find template"),
    ],
)
def test_a_config_that_cannot_work_is_refused(iot: Any, config: dict[str, str], error: str) -> None:
    with pytest.raises(ClientError, match=error):
        register_ca(iot, new_authority(), registrationConfig=config)
    ca_id = register_ca(iot, new_authority())
    with pytest.raises(ClientError, match=error):
        iot.update_ca_certificate(certificateId=ca_id, registrationConfig=config)


def test_a_template_of_fleet_provisioning_is_refused(iot: Any, role: str) -> None:
    name = mark("template")
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    iot.create_provisioning_template(
        templateName=name, provisioningRoleArn=role, templateBody=body, enabled=True
    )
    with pytest.raises(ClientError, match="not of type JITP"):
        register_ca(iot, new_authority(), registrationConfig={"templateName": name})


def test_a_config_can_be_added_later(local_cloud: LocalCloud, iot: Any, role: str) -> None:
    authority, name = new_authority(), mark("SN")
    ca_id = register_ca(iot, authority)
    body = template(NAMED_AFTER_CN, INLINE, parameters=(CN,))
    config = {"templateBody": body, "roleArn": role}
    iot.update_ca_certificate(certificateId=ca_id, registrationConfig=config)
    first_boot(local_cloud, iot, authority.issue({"CN": name}), name)


def test_a_certificate_of_an_unknown_ca_is_not_registered(iot: Any) -> None:
    leaf = new_authority().issue({"CN": mark("SN")})
    with pytest.raises(ClientError, match="No CA certificate exists"):
        iot.register_certificate(certificatePem=leaf.certificate_pem)
    with pytest.raises(ClientError, match="Invalid certificate PEM"):
        iot.register_certificate(certificatePem="garbage")


# --- the serial number ---------------------------------------------------------------


@pytest.mark.parametrize("is_number", [True, False], ids=["certificate", "subject"])
def test_without_one_in_the_subject_the_serial_number_is_the_certificates(
    local_cloud: LocalCloud, iot: Any, role: str, is_number: bool
) -> None:
    setting = "certificate" if is_number else "subject"
    local_cloud.admin("PUT", "settings", {"jitp_serial_number": setting})
    number = f"{PSEUDO}SerialNumber"
    body = template({"ThingName": {"Ref": number}}, INLINE, parameters=(number,))
    leaf = authority_with(iot, role, body).issue({"CN": mark("SN")})
    try:
        if is_number:
            certificate = x509.load_pem_x509_certificate(leaf.certificate_pem.encode())
            first_boot(local_cloud, iot, leaf, "any")
            assert iot.describe_thing(thingName=str(certificate.serial_number))
        else:
            stays_pending(local_cloud, iot, leaf, "any")
    finally:
        local_cloud.admin("PUT", "settings", {"jitp_serial_number": "certificate"})
