"""What provisioning templates may say: by fleet provisioning, and by RegisterThing alike."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.wire.conftest import LocalCloud
from tests.wire.localcloud_registry import (
    DEVICE_POLICY,
    THINGS_REGISTRATION,
    make_role,
    mark,
    new_authority,
    policies_of,
    status_of,
    template,
)
from tests.wire.localcloud_sdk import (
    Credential,
    IdentityV2,
    NotLetInError,
    RejectedError,
    add_certificate,
    claim_policy,
    mqtt5_client,
    new_csr,
    policy,
    publish,
)

pytestmark = pytest.mark.wire
NAMED = {"ThingName": {"Ref": "SerialNumber"}}
INLINE = {"PolicyDocument": DEVICE_POLICY}


@pytest.fixture(scope="module")
def iot(local_cloud: LocalCloud) -> Any:
    return local_cloud.client("iot")


@pytest.fixture(scope="module")
def role(local_cloud: LocalCloud) -> str:
    return make_role(local_cloud, THINGS_REGISTRATION)


@pytest.fixture
def fleet_of(local_cloud: LocalCloud, iot: Any, role: str) -> Callable[[str], "Template"]:
    def make(body: str) -> Template:
        name = mark("template")
        iot.create_provisioning_template(
            templateName=name, enabled=True, provisioningRoleArn=role, templateBody=body
        )
        return Template(local_cloud, name)

    return make


class Template:
    """A template, and a claim to use it with."""

    def __init__(self, cloud: LocalCloud, name: str) -> None:
        self._cloud = cloud
        self._name = name
        self._claim = add_certificate(cloud, claim_policy(name))

    def provision(self, serial: str) -> tuple[Credential, dict[str, str]]:
        """Return the device's credential and its configuration."""
        csr, key = new_csr(serial)
        with mqtt5_client(self._cloud, self._claim, f"claim-{serial}") as client:
            identity = IdentityV2(client)
            made = identity.create_from_csr(csr)
            thing = identity.register(self._name, made.certificate_ownership_token, serial)
        credential = Credential(made.certificate_id, made.certificate_pem, key)
        return credential, thing.device_configuration


# --- the whole grammar ---------------------------------------------------------------


def everything(kind: str, group: str, billing_group: str) -> str:
    """A template with every function and section, as the developer guide has them."""
    serial = {"Ref": "SerialNumber"}
    thing = {
        "ThingName": {"Fn::Join": ["", ["lamp-", serial]]},
        "ThingTypeName": {"Fn::FindInMap": ["Kinds", {"Ref": "Model"}, "Type"]},
        "ThingGroups": [{"Fn::Select": [1, {"Fn::Split": [",", f"a,{group},b"]}]}],
        "BillingGroup": billing_group,
        "AttributePayload": {"label": {"Fn::Sub": "${Model}-${SerialNumber}"}},
    }
    configuration = {
        "url": {"Fn::Sub": ["https://${Host}/${SerialNumber}", {"Host": "example.com"}]},
        "literal": {"Fn::Sub": "${!NotAVariable}"},
    }
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["iot:Connect"],
                "Resource": ["arn:aws:iot:us-east-1:000000000000:client/*"],
            }
        ],
    }
    return template(
        thing,
        {"PolicyDocument": document},
        {"PolicyDocument": DEVICE_POLICY},
        parameters=("SerialNumber",),
        Parameters={"Model": {"Type": "String", "Default": "A"}},
        Mappings={"Kinds": {"A": {"Type": kind}}},
        DeviceConfiguration=configuration,
    )


@pytest.fixture
def places(iot: Any) -> tuple[str, str, str]:
    """A thing type, a thing group and a billing group."""
    kind, group, billing_group = mark("type"), mark("group"), mark("billing")
    iot.create_thing_type(thingTypeName=kind)
    iot.create_thing_group(thingGroupName=group)
    iot.create_billing_group(billingGroupName=billing_group)
    return kind, group, billing_group


def check_everything(iot: Any, serial: str, places: tuple[str, str, str]) -> None:
    kind, group, billing_group = places
    thing = iot.describe_thing(thingName=f"lamp-{serial}")
    assert thing["thingTypeName"] == kind
    assert thing["attributes"] == {"label": f"A-{serial}"}
    assert thing["billingGroupName"] == billing_group
    groups = iot.list_thing_groups_for_thing(thingName=f"lamp-{serial}")["thingGroups"]
    assert [found["groupName"] for found in groups] == [group]


def test_a_fleet_template_with_everything(
    iot: Any, fleet_of: Callable[[str], Template], places: tuple[str, str, str]
) -> None:
    serial = mark("SN")
    made, configuration = fleet_of(everything(*places)).provision(serial)
    check_everything(iot, serial, places)
    assert configuration == {
        "url": f"https://example.com/{serial}",
        "literal": "${NotAVariable}",
    }
    assert len(policies_of(iot, made.certificate_id)) == 2


def test_register_thing_with_everything(iot: Any, places: tuple[str, str, str]) -> None:
    serial = mark("SN")
    document = json.loads(everything(*places))
    document["Resources"]["certificate"]["Properties"] = {
        "CertificateSigningRequest": {"Ref": "CSR"}
    }
    made = iot.register_thing(
        templateBody=json.dumps(document),
        parameters={"SerialNumber": serial, "CSR": new_csr(serial)[0]},
    )
    check_everything(iot, serial, places)
    assert set(made["resourceArns"]) == {"thing", "certificate", "policy", "policy1"}


def test_devices_share_the_policy_of_one_document_and_are_told_nothing_more(
    iot: Any, fleet_of: Callable[[str], Template]
) -> None:
    made = fleet_of(template(NAMED, INLINE))
    (one, nothing), (other, _nothing) = made.provision(mark("SN")), made.provision(mark("SN"))
    assert policies_of(iot, one.certificate_id) == policies_of(iot, other.certificate_id)
    assert nothing == {}


# --- a thing that was there before ---------------------------------------------------


@pytest.fixture
def known(iot: Any, places: tuple[str, str, str]) -> str:
    """A thing with a type, in a group, with an attribute."""
    name, (kind, group, _billing_group) = mark("thing"), places
    attributes = {"attributes": {"a": "1"}}
    iot.create_thing(thingName=name, thingTypeName=kind, attributePayload=attributes)
    iot.add_thing_to_thing_group(thingGroupName=group, thingName=name)
    return name


def held(iot: Any, name: str) -> tuple[str, list[str], dict[str, str]]:
    """Return a thing's type, groups and attributes."""
    thing = iot.describe_thing(thingName=name)
    groups = iot.list_thing_groups_for_thing(thingName=name)["thingGroups"]
    return thing["thingTypeName"], [each["groupName"] for each in groups], thing["attributes"]


def register_again(iot: Any, name: str, thing: dict[str, Any], overrides: dict[str, str]) -> None:
    csr, _key = new_csr(name)
    body = template(
        {**NAMED, **thing}, INLINE, certificate={"CertificateSigningRequest": {"Ref": "CSR"}},
        overrides=overrides,
    )  # fmt: skip
    iot.register_thing(templateBody=body, parameters={"SerialNumber": name, "CSR": csr})


@pytest.mark.parametrize(
    ("setting", "property_", "left"),
    [
        ("DO_NOTHING", "ThingTypeName", "old"),
        ("REPLACE", "ThingTypeName", "new"),
        ("DO_NOTHING", "ThingGroups", ["old"]),
        ("REPLACE", "ThingGroups", ["new"]),
        ("MERGE", "ThingGroups", ["new", "old"]),
        ("DO_NOTHING", "AttributePayload", {"a": "1"}),
        ("REPLACE", "AttributePayload", {"b": "2"}),
        ("MERGE", "AttributePayload", {"a": "1", "b": "2"}),
    ],
)
def test_override_settings_of_a_thing(  # noqa: PLR0917 - fixtures, and one table
    iot: Any, known: str, places: tuple[str, str, str], setting: str, property_: str, left: Any
) -> None:
    kind, group = mark("type"), mark("group")
    iot.create_thing_type(thingTypeName=kind)
    iot.create_thing_group(thingGroupName=group)
    words = {places[0]: "old", places[1]: "old", kind: "new", group: "new"}
    wanted = {"ThingTypeName": kind, "ThingGroups": [group], "AttributePayload": {"b": "2"}}

    register_again(iot, known, {property_: wanted[property_]}, {property_: setting})

    type_name, groups, attributes = held(iot, known)
    found = {"ThingTypeName": words[type_name], "AttributePayload": attributes,
             "ThingGroups": sorted(words[each] for each in groups)}  # fmt: skip
    assert found[property_] == left


@pytest.mark.parametrize(
    ("property_", "value"),
    [
        ("ThingTypeName", "another"),
        ("ThingGroups", ["another"]),
        ("AttributePayload", {"a": "another"}),
    ],
)
@pytest.mark.parametrize("setting", [None, "FAIL"])
def test_a_conflict_is_named_and_changes_nothing(
    iot: Any, known: str, property_: str, value: Any, setting: str | None
) -> None:
    before, listed = held(iot, known), len(iot.list_certificates()["certificates"])
    if property_ == "ThingTypeName":
        iot.create_thing_type(thingTypeName=value)
    if property_ == "ThingGroups":
        iot.create_thing_group(thingGroupName=value[0])
    settings = {property_: setting} if setting else {}

    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match="conflict"):
        register_again(iot, known, {property_: value}, settings)

    assert held(iot, known) == before
    assert len(iot.list_certificates()["certificates"]) == listed


# --- what breaks the grammar ---------------------------------------------------------

JOINED = {"Fn::Join": ["", ["fire", "boot"]]}
BROKEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"PolicyName": JOINED}, {}, "Fn::Join is not supported in Policy"),
    ({"PolicyDocument": "no policy"}, {}, "is not a policy"),
    ({"PolicyDocument": "[]"}, {}, "is not a policy"),
    (INLINE, {"DeviceConfiguration": {"a": "x" * 10_240}}, "less than or equal to 10240"),
    (INLINE, {"Mappings": {"a": {"b": {"c": {"Ref": "P"}}}}}, "Mappings cannot include"),
    (INLINE, {"Mappings": {"a": {"b": {"c": [{"Fn::Sub": "x"}]}}}}, "Mappings cannot include"),
    (INLINE, {"DeviceConfiguration": {"a": {"b": "c"}}}, "nested"),
    (INLINE, {"DeviceConfiguration": {"a": ["b"]}}, "nested"),
    (INLINE, {"Parameters": {"P": {"Type": "Number"}}}, "must be of Type String"),
    (INLINE, {"Parameters": {"P": "String"}}, "must be of Type String"),
]


@pytest.mark.parametrize(("policies", "sections", "message"), BROKEN)
def test_a_template_that_breaks_the_grammar_is_not_made(
    iot: Any, role: str, policies: dict[str, Any], sections: dict[str, Any], message: str
) -> None:
    body = template(NAMED, policies, **sections)
    name = mark("template")
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.create_provisioning_template(
            templateName=name, provisioningRoleArn=role, templateBody=body
        )
    iot.create_provisioning_template(
        templateName=name, provisioningRoleArn=role, templateBody=template(NAMED, INLINE)
    )
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.create_provisioning_template_version(templateName=name, templateBody=body)
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.register_thing(templateBody=body)


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        ({"AttributePayload": {"a": {"b": "c"}}}, "must be a string"),
        ({"AttributePayload": ["a"]}, "must be a map of strings"),
        ({"ThingGroups": "a"}, "must be a list of strings"),
        ({"ThingTypeName": {"REF": "SerialNumber"}}, "must be a string"),
        ({"ThingType": "a"}, "unknown property"),
    ],
)
def test_a_template_with_a_value_of_the_wrong_kind_is_not_made(
    iot: Any, role: str, thing: dict[str, Any], message: str
) -> None:
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.create_provisioning_template(
            templateName=mark("template"), provisioningRoleArn=role,
            templateBody=template({**NAMED, **thing}, INLINE),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("thing", "code", "message"),
    [
        ({"ThingTypeName": {"Ref": "AWS::Region"}}, "InvalidParameters", "AWS::Region"),
        ({"ThingTypeName": {"Fn::Select": [3, ["a"]]}}, "InvalidTemplate", "Fn::Select"),
        ({"ThingTypeName": {"Fn::FindInMap": ["a", "b", "c"]}}, "InvalidTemplate", "FindInMap"),
        ({"ThingTypeName": "no-such-type"}, "ProvisioningFailed", "Thing Type"),
        ({"ThingGroups": ["no-such-group"]}, "ProvisioningFailed", "ThingGroup"),
        ({"BillingGroup": "no-such-group"}, "ProvisioningFailed", "Billing Group"),
        ({"AttributePayload": {"a b": "c"}}, "ProvisioningFailed", "must satisfy"),
    ],
)
def test_a_device_is_told_what_is_wrong(
    fleet_of: Callable[[str], Template], thing: dict[str, Any], code: str, message: str
) -> None:
    made = fleet_of(template({**NAMED, **thing}, INLINE))
    with pytest.raises(RejectedError, match=message) as rejected:
        made.provision(mark("SN"))
    assert rejected.value.error_code == code


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"Ref": "Nobody"}, "Cannot resolve reference value: Nobody"),
        ({"Fn::Sub": "${Nobody}"}, "Cannot resolve reference value: Nobody"),
        ({"Fn::Sub": ["${Nobody}", {"Someone": "x"}]}, "Cannot resolve reference value: Nobody"),
        ({"Fn::Sub": ["a"]}, "invalid Fn::Sub"),
        ({"Fn::Join": "a"}, "invalid Fn::Join"),
        ({"Fn::Split": [",", {"Fn::Split": [",", "a,b"]}]}, "invalid Fn::Split"),
        ({"Fn::Select": [0, [None]]}, "invalid Fn::Select"),
        ({"Fn::Select": [2, {"Fn::Split": [",", "a,b"]}]}, "invalid Fn::Select"),
        ({"Fn::FindInMap": ["Kinds", "C", "Type"]}, "invalid Fn::FindInMap"),
        ({"Fn::GetAtt": ["thing", "Arn"]}, "invalid Fn::GetAtt"),
    ],
)
def test_a_function_without_a_result(iot: Any, value: dict[str, Any], message: str) -> None:
    body = template(
        {**NAMED, "ThingTypeName": value}, INLINE, Mappings={"Kinds": {"A": {"Type": "lamp"}}},
        certificate={"CertificateSigningRequest": {"Ref": "CSR"}},
    )  # fmt: skip
    serial = mark("SN")
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.register_thing(
            templateBody=body, parameters={"SerialNumber": serial, "CSR": new_csr(serial)[0]}
        )


def test_a_role_that_may_not_put_things_into_billing_groups(
    local_cloud: LocalCloud, iot: Any
) -> None:
    group, name = mark("group"), mark("template")
    iot.create_billing_group(billingGroupName=group)
    rights = ["iot:CreateThing", "iot:UpdateCertificate", "iot:CreatePolicy", "iot:Attach*"]
    limited = make_role(
        local_cloud, inline=[{"Effect": "Allow", "Action": rights, "Resource": "*"}]
    )
    iot.create_provisioning_template(
        templateName=name,
        enabled=True,
        provisioningRoleArn=limited,
        templateBody=template({**NAMED, "BillingGroup": group}, INLINE),
    )
    serial = mark("SN")
    with pytest.raises(RejectedError) as rejected:
        Template(local_cloud, name).provision(serial)
    assert (rejected.value.status_code, rejected.value.error_code) == (403, "AccessDenied")
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        iot.describe_thing(thingName=serial)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [({"a": "with a space"}, "must satisfy"), (dict.fromkeys("abcd", "1"), "at most 3")],
)
def test_the_registry_keeps_the_rules_of_attributes(
    iot: Any, attributes: dict[str, str], message: str
) -> None:
    name, payload = mark("thing"), {"attributes": attributes}
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.create_thing(thingName=name, attributePayload=payload)
    iot.create_thing(thingName=name)
    with pytest.raises(iot.exceptions.InvalidRequestException, match=message):
        iot.update_thing(thingName=name, attributePayload=payload)


def test_merged_attributes_count_together(iot: Any) -> None:
    kind, name = mark("type"), mark("thing")
    iot.create_thing_type(thingTypeName=kind)
    three = {"attributes": dict.fromkeys("abc", "1")}
    iot.create_thing(thingName=name, attributePayload=three)
    more = {"attributes": {"d": "1"}, "merge": True}
    with pytest.raises(iot.exceptions.InvalidRequestException, match="at most 3"):
        iot.update_thing(thingName=name, attributePayload=more)
    iot.update_thing(thingName=name, thingTypeName=kind)
    iot.update_thing(thingName=name, attributePayload=more)
    assert len(iot.describe_thing(thingName=name)["attributes"]) == 4


# --- exclusive things ----------------------------------------------------------------

EXCLUSIVE = {
    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
    "Status": "ACTIVE",
    "ThingPrincipalType": "EXCLUSIVE_THING",
}


def test_an_exclusive_thing_is_itself_under_any_client_id(
    local_cloud: LocalCloud, iot: Any, fleet_of: Callable[[str], Template]
) -> None:
    anybody = policy(
        ("Connect", ["client/*"]),
        ("Publish", ["topic/dt/${iot:Connection.Thing.ThingName}/telemetry"]),
    )
    body = {"PolicyDocument": anybody}
    serial, shared = mark("SN"), mark("SN")
    own, _configuration = fleet_of(template(NAMED, body, certificate=EXCLUSIVE)).provision(serial)
    with mqtt5_client(local_cloud, own, mark("any-client")) as device:
        assert publish(device, f"dt/{serial}/telemetry") == 0
        assert publish(device, "dt/another/telemetry") != 0
    common, _configuration = fleet_of(template(NAMED, body)).provision(shared)
    with mqtt5_client(local_cloud, common, mark("any-client")) as device:
        assert publish(device, f"dt/{shared}/telemetry") != 0


def test_an_exclusive_certificate_belongs_to_one_thing_until_it_is_detached(iot: Any) -> None:
    first, second = mark("thing"), mark("thing")
    for name in (first, second):
        iot.create_thing(thingName=name)
    arn = iot.create_keys_and_certificate()["certificateArn"]
    exclusive = {"principal": arn, "thingPrincipalType": "EXCLUSIVE_THING"}
    iot.attach_thing_principal(thingName=first, **exclusive)
    with pytest.raises(iot.exceptions.InvalidRequestException, match=first):
        iot.attach_thing_principal(thingName=second, principal=arn)
    by_thing = iot.list_thing_principals_v2(thingName=first)["thingPrincipalObjects"]
    assert by_thing == [exclusive]
    by_principal = iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
    assert by_principal == [{"thingName": first, "thingPrincipalType": "EXCLUSIVE_THING"}]
    iot.detach_thing_principal(thingName=first, principal=arn)
    iot.attach_thing_principal(thingName=second, principal=arn)
    listed = iot.list_principal_things_v2(principal=arn)["principalThingObjects"]
    assert listed == [{"thingName": second, "thingPrincipalType": "NON_EXCLUSIVE_THING"}]


def test_a_shared_certificate_cannot_become_exclusive(iot: Any) -> None:
    first, second = mark("thing"), mark("thing")
    for name in (first, second):
        iot.create_thing(thingName=name)
    arn = iot.create_keys_and_certificate()["certificateArn"]
    iot.attach_thing_principal(thingName=first, principal=arn)
    with pytest.raises(iot.exceptions.InvalidRequestException, match="cannot be exclusive"):
        iot.attach_thing_principal(
            thingName=second, principal=arn, thingPrincipalType="EXCLUSIVE_THING"
        )
    only = iot.list_thing_principals_v2(thingName=first, thingPrincipalType="EXCLUSIVE_THING")
    assert only["thingPrincipalObjects"] == []


def test_a_template_cannot_take_an_exclusive_certificate(iot: Any) -> None:
    owner = mark("thing")
    iot.create_thing(thingName=owner)
    made = iot.create_keys_and_certificate()
    iot.attach_thing_principal(
        thingName=owner, principal=made["certificateArn"], thingPrincipalType="EXCLUSIVE_THING"
    )
    body = template(NAMED, INLINE, certificate={"CertificateId": made["certificateId"]})
    with pytest.raises(iot.exceptions.ResourceRegistrationFailureException, match=owner):
        iot.register_thing(templateBody=body, parameters={"SerialNumber": mark("SN")})
    assert status_of(iot, made["certificateId"]) == "INACTIVE"


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        ("list_thing_principals_v2", {"thingName": "no-such-thing"}),
        ("list_principal_things_v2", {"principal": "arn:aws:iot:us-east-1:0:cert/none"}),
    ],
)
def test_lists_of_what_is_not_there(iot: Any, operation: str, names: dict[str, str]) -> None:
    with pytest.raises(iot.exceptions.ResourceNotFoundException):
        getattr(iot, operation)(**names)


def test_a_kind_of_attachment_that_does_not_exist(iot: Any) -> None:
    name = mark("thing")
    iot.create_thing(thingName=name)
    arn = iot.create_keys_and_certificate()["certificateArn"]
    with pytest.raises(ClientError, match="thingPrincipalType must be"):
        iot.attach_thing_principal(thingName=name, principal=arn, thingPrincipalType="MINE")


# --- variables in policies -----------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("iot:Certificate.Subject.Organization", "Example"),
        ("iot:Connection.Thing.ThingTypeName", None),
        ("iot:Connection.Thing.Attributes[line]", "7"),
    ],
)
def test_the_policy_of_a_template_sees_certificate_and_thing(
    local_cloud: LocalCloud,
    iot: Any,
    fleet_of: Callable[[str], Template],
    variable: str,
    value: str | None,
) -> None:
    kind, serial = mark("type"), mark("SN")
    iot.create_thing_type(thingTypeName=kind)
    rights = policy(("Connect", ["client/*"]), ("Publish", [f"topic/dt/${{{variable}}}"]))
    thing = {**NAMED, "ThingTypeName": kind, "AttributePayload": {"line": "7"}}
    body = template(thing, {"PolicyDocument": rights})
    own, _configuration = fleet_of(body).provision(serial)
    with mqtt5_client(local_cloud, own, serial) as device:
        assert publish(device, f"dt/{value or kind}") == 0
        assert publish(device, "dt/something-else") != 0


@pytest.fixture(scope="module")
def lamp(iot: Any) -> Credential:
    """A certificate of the factory's own, without a thing."""
    names = {"CN": "*", "OU": "lamps", "OU.1": "kitchen", "serialNumber": "4711"}
    leaf = new_authority().issue(names)
    iot.register_certificate_without_ca(certificatePem=leaf.certificate_pem, status="ACTIVE")
    return leaf


@pytest.mark.parametrize(
    "case",
    [
        ("Subject.OrganizationalUnit", "lamps", True),
        ("Subject.OrganizationalUnit", "kitchen", False),
        ("Subject.OrganizationalUnit.1", "kitchen", True),
        ("Subject.OrganizationalUnit.2", "kitchen", False),
        ("Subject.SerialNumber", "4711", True),
        ("Issuer.Organization", "Example", True),
        ("Subject.CommonName", "anybody", False),
    ],
)
def test_a_policy_sees_every_attribute_and_no_wildcard(
    local_cloud: LocalCloud, iot: Any, lamp: Credential, case: tuple[str, str, bool]
) -> None:
    variable, client_id, let_in = case
    name = mark("policy")
    rights = policy(("Connect", [f"client/${{iot:Certificate.{variable}}}"]))
    iot.create_policy(policyName=name, policyDocument=rights)
    arn = f"arn:aws:iot:us-east-1:000000000000:cert/{lamp.certificate_id}"
    iot.attach_policy(policyName=name, target=arn)
    try:
        with mqtt5_client(local_cloud, lamp, client_id):
            entered = True
    except NotLetInError:
        entered = False
    iot.detach_policy(policyName=name, target=arn)
    assert entered == let_in
