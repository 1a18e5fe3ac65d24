"""Each rule sees its bad sample, our own documents pass, and garbage is no traceback."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.errors import ConfigurationError
from factory.account.cloud import Account, Response, Value
from factory.account.documents import CONFIG
from factory.cli import main
from factory.errors import LINT_FAILED, NotInCloudError
from factory.lint.cloud_rules import arns_elsewhere, lint_in_cloud, lint_stored_template
from factory.lint.context import Context
from factory.lint.document import Document, Json, kind_of, load_document
from factory.lint.finding import Finding, Severity
from factory.lint.linter import lint
from factory.lint.rules import RULES
from factory.making.device_settings import load_device_settings
from factory.methods import METHODS, recovery, renewal
from factory.verbs import Console
from factory.verbs.lint import check_before_prepare
from tests.support.errors import raises

ARN = "arn:aws:iot:eu-central-1:123456789012"
CSR = "$aws/certificates/create-from-csr/json"
PROVISION = "$aws/provisioning-templates/t/provision/json"
CERTIFICATE: Json = {
    "Type": "AWS::IoT::Certificate",
    "Properties": {
        "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
        "Status": "ACTIVE",
        "ThingPrincipalType": "EXCLUSIVE_THING",
    },
}
POLICY: Json = {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}}


def policy(*statements: Json) -> Json:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action: str | list[str], *resources: str, **more: Json) -> Json:
    return {"Effect": "Allow", "Action": action, "Resource": list(resources), **more}  # type: ignore[dict-item] # mypy reads list[str] strictly


def connect(resource: str, **more: Json) -> Json:
    return allow("iot:Connect", f"{ARN}:client/{resource}", **more)


def claim(*topics: str, client: str = "claim-*") -> Json:
    """Return a claim's policy that may do the same on all topics."""
    return policy(
        connect(client),
        allow("iot:Publish", *(f"{ARN}:topic/{topic}" for topic in topics)),
        allow("iot:Receive", *(f"{ARN}:topic/{topic}/*" for topic in topics)),
        allow("iot:Subscribe", *(f"{ARN}:topicfilter/{topic}/*" for topic in topics)),
    )


def template(
    parameters: Mapping[str, Json] | None = None,
    thing: Mapping[str, Json] | None = None,
    **more: Json,
) -> dict[str, Json]:
    """Return a fleet provisioning template, right but for what is given."""
    properties: dict[str, Json] = {"ThingName": {"Ref": "SerialNumber"}, **(thing or {})}
    given = {"SerialNumber": {"Type": "String"}, "AWS::IoT::Certificate::Id": {"Type": "String"}}
    resources: dict[str, Json] = {
        "thing": {"Type": "AWS::IoT::Thing", "Properties": properties},
        "certificate": CERTIFICATE,
        "policy": POLICY,
    }
    return {"Parameters": {**given, **(parameters or {})}, "Resources": resources, **more}


def with_resource(resource: Json, name: str = "extra") -> Json:
    body = template()
    return {**body, "Resources": {**dict(body["Resources"]), name: resource}}  # type: ignore[arg-type] # an object


def inline(document: Json) -> Json:
    return with_resource({"Type": "AWS::IoT::Policy", "Properties": {"PolicyDocument": document}})


def without(name: str) -> Json:
    body = template()
    resources = dict(body["Resources"])  # type: ignore[arg-type] # an object
    return {**body, "Resources": {each: resources[each] for each in resources if each != name}}


def certificate(**properties: Json) -> Json:
    given = {**CERTIFICATE["Properties"], **properties}  # type: ignore[index,call-overload,dict-item] # an object
    return with_resource({"Type": "AWS::IoT::Certificate", "Properties": given}, "certificate")


def not_exclusive(body: Mapping[str, Json]) -> Json:
    properties = {**CERTIFICATE["Properties"]}  # type: ignore[index,call-overload,dict-item] # an object
    del properties["ThingPrincipalType"]
    resources = {**body["Resources"], "certificate": {**CERTIFICATE, "Properties": properties}}  # type: ignore[dict-item] # an object
    return {**body, "Resources": resources}


JIT = {"AWS::IoT::Certificate::CommonName": {"Type": "String"}}
JIT_TEMPLATE = template(thing={"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}}) | {
    "Parameters": {**JIT, "AWS::IoT::Certificate::Id": {"Type": "String"}}
}

BAD: list[tuple[str, str | None, Json]] = [
    ("malformed", None, {"hello": "world"}),
    ("malformed", None, policy()),
    ("malformed", None, policy({"Effect": "Allow", "Resource": f"{ARN}:client/x"})),
    ("malformed", None, policy({"Effect": "Maybe", "Action": "iot:Connect", "Resource": "x"})),
    ("malformed", None, {"templateName": "t", "templateBody": "{"}),
    ("malformed", None, {"templateName": "t", "templateBody": {"no": "template"}}),
    ("malformed", None, inline("no JSON")),
    ("wildcard-action", None, policy(allow("iot:*", f"{ARN}:client/x"))),
    ("wildcard-action", None, policy(allow("*", "*"))),
    ("wildcard-action", None, inline(policy(allow("iot:Pub*", f"{ARN}:topic/x")))),
    ("wildcard-resource", None, policy(connect("*"))),
    ("wildcard-resource", None, policy(connect("SN-*"))),
    ("wildcard-resource", None, policy(allow("iot:Publish", "*"))),
    ("wildcard-resource", None, policy(allow("s3:GetObject", "*"))),
    ("wildcard-topic", None, policy(allow("iot:Publish", f"{ARN}:topic/dt/*/telemetry"))),
    ("wildcard-topic", None, policy(allow("iot:Publish", f"{ARN}:topic/dt/?"))),
    ("wildcard-topic", None, claim("$aws/provisioning-templates/*/provision/json", CSR)),
    ("mqtt-wildcard", None, policy(allow("iot:Publish", f"{ARN}:topic/dt/+/telemetry"))),
    ("resource-type", None, policy(allow("iot:Subscribe", f"{ARN}:topic/a"))),
    ("resource-type", None, policy(allow("iot:Connect", f"{ARN}:topic/a"))),
    ("subscribe-without-receive", None, policy(allow("iot:Subscribe", f"{ARN}:topicfilter/a"))),
    ("csr-topics-missing", None, claim(PROVISION)),
    ("csr-topics-missing", "trusted-user", claim(PROVISION, "$aws/certificates/create/json")),
    ("create-star", "claim", claim(PROVISION, "$aws/certificates/create/*")),
    ("unknown-variable", None, policy(connect("${iot:Connection.Thing.Name}"))),
    ("unknown-variable", None, policy(connect("${iot:Certificate.Subject.Nickname}"))),
    ("thing-variable-in-claim", "claim",
     claim(PROVISION, CSR, client="${iot:Connection.Thing.ThingName}")),
    ("variable-without-field", "claim", policy(connect("${iot:Certificate.Subject.Country}"))),
    ("variable-without-field", "claim-aws-keys",
     policy(connect("${iot:Certificate.Subject.Organization}"))),
    ("variable-without-field", None,
     claim(PROVISION, CSR, client="${iot:Certificate.Subject.SerialNumber.1}")),
    ("malformed", None, policy({"Effect": "Allow", "Action": "iot:Connect"})),
    ("malformed", None, policy({"Action": "iot:Connect", "Resource": f"{ARN}:client/x"})),
    ("malformed", None, policy({"Effect": "Allow", "Action": [], "Resource": f"{ARN}:client/x"})),
    ("malformed", None, policy({"Effect": "Allow", "Action": "iot:Connect", "Resource": []})),
    ("malformed", None, policy({"Effect": "Allow", "Action": "iot:Connect", "Resource": {"a": 1}})),
    ("malformed", None, policy({"Effect": "Allow", "Action": 1, "Resource": f"{ARN}:client/x"})),
    ("malformed", None, policy("a statement", connect("x"))),
    ("malformed", None, policy({"Effect": ["Allow"], "Action": "iot:Connect",
                                "Resource": f"{ARN}:client/x"})),
    ("malformed", None, policy(connect("x", Condition="Bool"))),
    ("malformed", None, policy(connect("x", Condition=None))),
    ("malformed", None, policy(connect("x", Condition={"Boool": {"aws:SecureTransport": "true"}}))),
    ("malformed", None, policy(connect("x", Condition={"Bool": "true"}))),
    ("policy-member", None, policy(connect("x", Conditions={"Bool": {}}))),
    ("policy-member", None, {"Version": "2012-10-17", "Statement": [connect("x")], "Foo": 1}),
    ("action-unknown", None, policy(allow("iot:Pubish", f"{ARN}:topic/x"))),
    ("action-unknown", None, policy(allow("sns:Publish", f"{ARN}:topic/x"))),
    ("unknown-variable", None, policy(
        allow("iot:Publish", f"{ARN}:topic/dt/${{iot:Connection.Thing.ThingName/x"))),
    ("policy-version", None, {"Statement": [connect("x")]}),
    ("policy-version", None, {"Version": "2008-10-17", "Statement": [
        connect("${iot:Connection.Thing.ThingName}")]}),
    ("policy-version", None, {"Version": "2012-10-18", "Statement": [connect("x")]}),
    ("not-element", None, policy({"Effect": "Allow", "Action": "iot:Publish",
                                  "NotResource": f"{ARN}:topic/x"})),
    ("not-element", None, policy({"Effect": "Allow", "NotAction": "iot:Publish",
                                  "Resource": f"{ARN}:topic/x"})),
    ("client-id-alone", None, policy(connect("${iot:ClientId}"))),
    ("client-id-alone", None, policy(connect("${IOT:clientid}"))),
    ("client-id-alone", None, policy(connect("x-${iot:ClientId}"))),
    ("client-id-alone", None, policy(connect("${iot:ClientId}", Condition={
        "Bool": {"iot:Connection.Thing.IsAttached": "false"}}))),
    ("client-id-alone", None, policy(
        allow("iot:Publish", f"{ARN}:topic/dt/${{iot:ClientId}}/telemetry"))),
    ("client-id-alone", None, policy(
        connect("${iot:ClientId}"), allow("iot:Publish", f"{ARN}:topic/dt/${{iot:ClientId}}/*"))),
    ("claim-client", None, claim(PROVISION, CSR, client="*")),
    ("client-id-alone", None, claim(PROVISION, CSR, client="${iot:ClientId}")),
    ("open-end", None, policy(connect("${iot:Connection.Thing.ThingName}*"))),
    ("open-end", None, policy(connect("${iot:Connection.Thing.ThingName}-?"))),
    ("open-end", None, policy(
        allow("iot:Publish", f"{ARN}:topic/dt/${{iot:Connection.Thing.ThingName}}*"))),
    ("open-end", None, policy(
        allow("iot:Publish", f"{ARN}:topic/$aws/things/${{iot:Connection.Thing.ThingName}}*"))),
    ("wildcard-topic", None, policy(allow("iot:Publish", f"{ARN}:topic/$aws/things/*/shadow/get"))),
    ("wildcard-topic", None, policy(allow("iot:Publish", f"{ARN}:topic/$aws/*"))),
    ("wildcard-topic", None, policy(
        allow("iot:Publish", f"{ARN}:topic/dt/${{iot:Connection.Thing.ThingTypeName}}/*"))),
    ("wildcard-resource", None, policy(connect("?"))),
    ("wildcard-resource", None, policy(connect("SN-?"))),
    ("wildcard-resource", None, policy(connect("*-${iot:Connection.Thing.ThingName}"))),
    ("wildcard-resource", None, policy(allow("iot:Publish", f"{ARN}:topic/**"))),
    ("wildcard-resource", None, policy(allow("iot:Connect", "**"))),
    ("wildcard-action", None, policy(allow("iot:Connec?", f"{ARN}:client/x"))),
    ("arn", None, policy(allow("iot:Connect", "client/x"))),
    ("arn", None, policy(allow("iot:Connect", "arn:aws:iot:eu-central-1:1234:client/x"))),
    ("arn", None, policy(allow("iot:Connect", "arn:aws:iot:::client/x"))),
    ("arn", None, policy(
        connect("x"), allow("iot:Publish", "arn:aws:iot:eu-central-1:210987654321:topic/x"))),
    ("arn", None, policy(
        connect("x"), allow("iot:Publish", "arn:aws:iot:us-east-1:123456789012:topic/x"))),
    ("policy-too-long", None, policy(connect("x" * 2048))),
    ("trust-open", None, policy({"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"})),
    ("trust-open", None,
     policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"})),
    ("trust-without-account", None, policy({
        "Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
        "Action": "sts:AssumeRole"})),
    ("malformed", None, template() | {"Parameters": []}),
    ("malformed", None, with_resource("a text")),
    ("malformed", None, with_resource({"Type": "AWS::IoT::Policy", "Properties": "p"})),
    ("malformed", None, with_resource({"Type": "AWS::IoT::Policy", "Properties": {
        "PolicyName": "p"}, "OverrideSettings": "REPLACE"})),
    ("malformed", None, template({"Lot": {"Type": "String", "Default": 7}})),
    ("malformed", None, template(Mappings={"a": {"b": "c"}})),
    ("malformed", None, {"templateName": "t", "type": "JIT", "templateBody": template()}),
    ("member-unknown", None, template(Resource={})),
    ("member-unknown", None, template({"Lot": {"Type": "String", "default": "7"}})),
    ("member-unknown", None, with_resource(
        {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}, "Properites": {}})),
    ("no-certificate", None, without("certificate")),
    ("no-certificate", None, with_resource(CERTIFICATE)),
    ("no-thing", None, without("thing")),
    ("no-thing", None, with_resource(
        {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}}})),
    ("no-policy", None, without("policy")),
    ("value-kind", None, template(thing={"ThingName": {"REF": "SerialNumber"}})),
    ("value-kind", None, template(thing={"ThingName": ["a"]})),
    ("value-kind", None, template(thing={"ThingName": {"Fn::Split": ["-", "a-b"]}})),
    ("value-kind", None, template(thing={"ThingName": None})),
    ("value-kind", None, template(thing={"ThingGroups": "a"})),
    ("value-kind", None, template(thing={"ThingGroups": [{"Ref": "SerialNumber", "a": "b"}]})),
    ("value-kind", None, template(thing={"AttributePayload": {"a": 1}})),
    ("value-kind", None, template(thing={"AttributePayload": "a"})),
    ("value-kind", None, template(thing={"AttributePayload": {"a": {"Ref": "SerialNumber"},
                                                             "b": {"ref": "SerialNumber"}}})),
    ("value-kind", None, template(DeviceConfiguration={"a": 1})),
    ("value-kind", None, template(DeviceConfiguration={"a": None})),
    ("value-kind", None, certificate(CertificateId="abc")),
    ("value-kind", None, certificate(ThingPrincipalType="EXCLUSIVE")),
    ("certificate-status", None, certificate(Status="Enabled")),
    ("certificate-status", None, certificate(Status={"Ref": "SerialNumber"})),
    ("certificate-status", None, certificate(Status=None)),
    ("function-shape", None, template(thing={"ThingName": {"Ref": ["SerialNumber"]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Join": "a"}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Join": ["-"]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Join": [["-"], ["a"]]}})),
    ("value-kind", None, template(thing={"ThingName": {"Fn::Join": ["-", "a"]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Select": [3, ["a"]]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Select": ["x", ["a"]]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::FindInMap": ["a", "b"]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::FindInMap": ["a", "b", "c"]}})),
    ("function-shape", None, template(thing={"ThingName": {"Fn::Sub": ["a"]}})),
    ("function-shape", None, template(
        thing={"ThingName": {"Fn::Select": [0, {"Fn::Split": ["", "a"]}]}})),
    ("function-shape", None, template(
        thing={"ThingName": {"Fn::Select": [0, {"Fn::Split": "a"}]}})),
    ("unknown-ref", None, with_resource({"Type": "AWS::IoT::Policy", "Properties": {
        "PolicyDocument": {"Fn::Sub": "${iot:Connection.Thing.ThingName}"}}})),
    ("pseudo-unknown", None, template({"AWS::IoT::Certificate::Email": {"Type": "String"}})),
    ("thing-name", None, template(thing={"ThingName": "a thing"})),
    ("thing-name-shared", None, template(thing={"ThingName": "always-the-same"})),
    ("thing-name-shared", None, template(thing={"ThingName": {"Fn::Join": ["-", ["a", "b"]]}})),
    ("thing-name", None, with_resource({"Type": "AWS::IoT::Thing", "Properties": {}})),
    ("attribute-text", None, template(thing={"AttributePayload": {"a b": "1"}})),
    ("attribute-text", None, template(thing={"AttributePayload": {"a": "two words"}})),
    ("template-too-long", None, {
        "templateName": "t", "templateBody": json.dumps(template()) + " " * 10_240}),
    ("template-too-long", None, template(thing={"AttributePayload": {"a": "x" * 10_240}})),
    ("parameter-type", None, template({"SerialNumber": {"Type": "Number"}})),
    ("parameter-without-source", "claim",
     template({"Lot": {"Type": "String"}}, {"AttributePayload": {"Lot": {"Ref": "Lot"}}})),
    ("parameter-without-source", "jitp", template(
        {"AWS::IoT::Certificate::DistinguishedNameQualifier": {"Type": "String"}},
        {"ThingName": {"Ref": "AWS::IoT::Certificate::DistinguishedNameQualifier"}})),
    ("parameter-not-declared", "claim", template({"SerialNumber": {"Type": "String"}}) | {
        "Parameters": {"AWS::IoT::Certificate::Id": {"Type": "String"}}}),
    ("parameter-unused", None, template({"Lot": {"Type": "String"}})),
    ("unknown-ref", None, template(thing={"ThingName": {"Ref": "Serial"}})),
    ("unknown-ref", None, template(thing={"ThingName": {"Fn::Sub": "a-${Serial}"}})),
    ("unknown-ref", None, template(thing={"ThingName": {"Fn::Sub": ["${a}${b}", {"a": "x"}]}})),
    ("aws-parameter", None, template(thing={"ThingName": {"Ref": "AWS::Region"}})),
    ("aws-parameter", None, template(thing={"ThingName": {"Fn::Sub": "${AWS::AccountId}"}})),
    ("pseudo-parameter", None, {"templateName": "t", "type": "FLEET_PROVISIONING",
                                "templateBody": JIT_TEMPLATE}),
    ("unknown-function", None, template(thing={"ThingName": {"Fn::GetAtt": ["a", "b"]}})),
    ("function-not-here", None, template(Mappings={"a": {"b": {"c": {"Ref": "SerialNumber"}}}})),
    ("function-not-here", None, with_resource({
        "Type": "AWS::IoT::Policy",
        "Properties": {"PolicyName": {"Fn::Join": ["-", ["p", {"Ref": "SerialNumber"}]]}}})),
    ("function-undocumented", None, template(
        JIT, {"ThingName": {"Fn::Join": ["", [{"Ref": "AWS::IoT::Certificate::CommonName"}]]}})),
    ("resource-unknown", None, with_resource({"Type": "AWS::S3::Bucket", "Properties": {}})),
    ("property-unknown", None, template(thing={"ThingGroup": "a"})),
    ("certificate-source", None, with_resource(
        {"Type": "AWS::IoT::Certificate", "Properties": {"Status": "ACTIVE"}})),
    ("certificate-source", None, with_resource({
        "Type": "AWS::IoT::Certificate",
        "Properties": {"CertificateId": "a", "CertificatePem": "b"}})),
    ("certificate-source", None, {"templateName": "t", "type": "JITP", "templateBody": template(
        {**JIT, "CSR": {"Type": "String"}},
        {"ThingName": {"Ref": "AWS::IoT::Certificate::CommonName"}}) | {"Resources": {
            "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                "CertificateSigningRequest": {"Ref": "CSR"}}}}}}),
    ("not-exclusive", None, certificate(ThingPrincipalType="NON_EXCLUSIVE_THING")),
    ("not-exclusive", "jitp", not_exclusive(JIT_TEMPLATE)),
    ("policy-name-or-document", None,
     with_resource({"Type": "AWS::IoT::Policy", "Properties": {}})),
    ("policy-name-or-document", None, with_resource({
        "Type": "AWS::IoT::Policy",
        "Properties": {"PolicyName": "p", "PolicyDocument": policy(connect("x"))}})),
    ("too-many-policies", None,
     template() | {"Resources": {f"policy{number}": POLICY for number in range(11)}}),
    ("override-unknown", None, with_resource(
        {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"},
         "OverrideSettings": {"PolicyName": "REPLACE"}})),
    ("override-unknown", None, with_resource(
        {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "SerialNumber"}},
         "OverrideSettings": {"ThingTypeName": "MERGE"}})),
    ("thing-name-differs", "jitp", not_exclusive(template(
        {"AWS::IoT::Certificate::Organization": {"Type": "String"}},
        {"ThingName": {"Ref": "AWS::IoT::Certificate::Organization"}}))),
    ("thing-name-differs", "bulk", not_exclusive(template(thing={"ThingName": "always-the-same"}))),
    ("thing-name-differs", "bulk", template(thing={"ThingName": "always-the-same"}) | {
        "Resources": {
            "thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "always-the-same"}},
            "certificate": CERTIFICATE,
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {
                "PolicyName": "firstboot-device"}}}}),
    ("too-many-attributes", None, template(
        thing={"AttributePayload": {"a": "1", "b": "2", "c": "3", "d": "4"}})),
    ("configuration-nested", None, template(DeviceConfiguration={"a": {"b": "c"}})),
    ("configuration-nested", None, template(DeviceConfiguration={"a": ["b"]})),
    ("configuration-not-sent", None, {**JIT_TEMPLATE, "DeviceConfiguration": {"a": "b"}}),
    ("hook-on-jitp", None, {"templateName": "t", "type": "JITP", "templateBody": JIT_TEMPLATE,
                            "preProvisioningHook": {"targetArn": "arn:aws:lambda:x"}}),
]  # fmt: skip

IN_CLOUD = {"named-missing", "template-disabled"}


def context(method: str | None) -> Context:
    if method is None:
        return Context()
    name = method.removesuffix("-aws-keys")
    return Context(method, load_device_settings(CONFIG / f"{name}.yaml"))


def found(content: Json, method: str | None = None) -> list[Finding]:
    return lint(Document("bad.json", content, kind_of(content)), context(method))


def rules(findings: list[Finding]) -> set[str]:
    return {finding.rule.id for finding in findings}


@pytest.mark.parametrize(("rule", "method", "content"), BAD, ids=[each[0] for each in BAD])
def test_rule_sees_its_bad_sample(rule: str, method: str | None, content: Json) -> None:
    assert rule in rules(found(content, method))


def test_every_rule_has_a_bad_sample() -> None:
    assert {rule for rule, _, _ in BAD} | IN_CLOUD == RULES.keys()


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES.keys())
def test_every_rule_says_why_and_what_to_do(rule: object) -> None:
    words = [getattr(rule, name) for name in ("why", "source", "next_step")]
    assert all(len(each) > 10 for each in words)


OURS: list[tuple[str | None, Path]] = [
    *((method, file) for method in METHODS for file in METHODS[method].files()),
    *((None, file) for file in sorted({*renewal.files(), *recovery.files()})),
]


@pytest.mark.parametrize(
    ("method", "file"),
    OURS,
    ids=[f"{method}-{file.parent.name}-{file.stem}" for method, file in OURS],
)
def test_our_own_documents_pass(method: str | None, file: Path) -> None:
    assert lint(load_document(file), context(method)) == []


def test_every_document_and_method_is_looked_at() -> None:
    files = {file for _, file in OURS}
    assert files == {*CONFIG.glob("policies/*.json"), *CONFIG.glob("templates/*.json")}


ATTACHED: Json = {"Bool": {"iot:Connection.Thing.IsAttached": "true"}}
GOOD: list[tuple[str | None, Json]] = [
    (None, claim(PROVISION, CSR)),
    ("claim-aws-keys", claim(PROVISION, "$aws/certificates/create/json")),
    ("claim", claim(PROVISION, "$aws/certificates/create/*", "$aws/certificates/create-from-csr/*",
                    CSR)),
    (None, policy(connect("${iot:Connection.Thing.ThingName}"),
                  allow("iot:Publish", f"{ARN}:topic/dt/${{iot:Connection.Thing.ThingName}}/*"))),
    (None, policy(connect("${iot:ClientId}", Condition=ATTACHED),
                  allow("iot:Publish", f"{ARN}:topic/dt/${{iot:ClientId}}/*"))),
    (None, policy(connect("${iot:Certificate.Subject.CommonName}"),
                  allow("iot:Publish", f"{ARN}:topic/dt/${{iot:ClientId}}"))),
    (None, policy(connect("${iot:Connection.Thing.ThingName}/*"))),
    (None, policy(connect("x"), allow("iot:Subscribe", f"{ARN}:topicfilter/news/#"),
                  allow("iot:Receive", f"{ARN}:topic/news/today"))),
    (None, policy(connect("x", Sid="Connect"), allow("iotjobsdata:DescribeJobExecution",
                                                     f"{ARN}:topic/x"))),
    (None, policy(connect("x"), allow("greengrass:GetComponentVersionArtifact", f"{ARN}:x"))),
    (None, policy(connect("x", Condition={
        "ForAnyValue:StringEqualsIfExists": {"iot:ClientId": ["x"]}}))),
    (None, policy(allow("iot:Publish", f"{ARN}:topic/dt/${{*}}/telemetry"))),
    (None, policy(allow("iot:Publish",
                        f"{ARN}:topic/$aws/things/${{iot:Connection.Thing.ThingName}}/shadow/*"))),
    (None, policy({"Effect": "Deny", "Action": "iot:*", "Resource": "*"}, connect("x"))),
    (None, policy(connect("${iot:Connection.Thing.Attributes[lot]}", Condition={
        "Bool": {"iot:Connection.Thing.IsAttached": "true"}}))),
    (None, inline(json.dumps(policy(connect("x"))))),
    (None, inline({"Fn::Sub": "${SerialNumber}"})),
    (None, template(DeviceConfiguration={"a": {"Ref": "SerialNumber"}, "b": "c"})),
    (None, template(thing={"ThingName": {"Fn::Sub": ["${a}-${SerialNumber}", {"a": "x"}]}})),
    (None, template({"Lot": {"Type": "String", "Default": "1"}})),
    (None, template(thing={"AttributePayload": dict.fromkeys("abcd", "1"), "ThingTypeName": "t"})),
    (None, inline({"Fn::Sub": json.dumps(policy(connect("${!iot:ClientId}-${SerialNumber}")))})),
    ("jitp", JIT_TEMPLATE),
    ("bulk", {"Parameters": {"SerialNumber": {"Type": "String"}, "CSR": {"Type": "String"}},
              "Resources": {
                  "thing": {"Type": "AWS::IoT::Thing", "Properties": {
                      "ThingName": "any", "AttributePayload": {"SN": {"Ref": "SerialNumber"}}}},
                  "policy": POLICY,
                  "certificate": {"Type": "AWS::IoT::Certificate", "Properties": {
                      "CertificateSigningRequest": {"Ref": "CSR"},
                      "ThingPrincipalType": "EXCLUSIVE_THING"}}}}),
    (None, policy({"Effect": "Allow", "Principal": {"Service": "iot.amazonaws.com"},
                   "Action": "sts:AssumeRole",
                   "Condition": {"StringEquals": {"aws:SourceAccount": "123456789012"}}})),
]  # fmt: skip


@pytest.mark.parametrize(("method", "content"), GOOD)
def test_what_is_right_is_left_alone(method: str | None, content: Json) -> None:
    assert found(content, method) == []


def test_finding_names_rule_file_path_reason_and_next_step() -> None:
    (finding, *_) = found(policy(connect("x"), allow("iot:*", f"{ARN}:client/x")))
    assert finding.as_fields() == {
        "rule": "wildcard-action",
        "severity": "error",
        "file": "bad.json",
        "path": "$.Statement[1].Action",
        "what": "iot:* is allowed",
        "why": f"{finding.rule.why} ({finding.rule.source})",
        "next_step": finding.rule.next_step,
    }


def test_path_of_an_inline_policy_begins_in_its_template() -> None:
    findings = found(inline(policy(allow("iot:*", f"{ARN}:client/x"))))
    assert [each.path for each in findings] == [
        "$.Resources.extra.Properties.PolicyDocument.Statement[0].Action"
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["Statement", "Resources", "Parameters", "Type", "Properties", "Effect", "Action",
             "Resource", "Principal", "Condition", "Ref", "Fn::Sub", "PolicyDocument", "thing",
             "OverrideSettings", "DeviceConfiguration", "templateBody", "Mappings", "Service"],
        )
        | st.text(max_size=4),
        inner,
        max_size=4,
    ),
    max_leaves=25,
)  # fmt: skip


@given(JSON, st.sampled_from([None, "claim", "jitp", "bulk"]))
def test_no_document_is_a_traceback(content: Json, method: str | None) -> None:
    found(content, method)


class InMemory:
    """A cloud with groups and templates."""

    account = Account("123456789012", "eu-central-1")

    def __init__(self, *named: str, **template: Value) -> None:
        self._named = named
        self._template = template

    def call(self, service: str, operation: str, **parameters: Value) -> Response:
        if operation == "DescribeProvisioningTemplate" and self._template:
            return self._template
        if not set(parameters.values()) & set(self._named):
            raise NotInCloudError(operation, "ResourceNotFoundException", "no")
        return {}

    def pages(self, service: str, operation: str, **parameters: Value) -> Iterator[Response]:
        raise NotImplementedError


def test_groups_types_and_billing_groups_are_looked_for_in_the_cloud() -> None:
    content = template(
        thing={"ThingGroups": ["here", "gone"], "ThingTypeName": "type", "BillingGroup": "bill"}
    )
    document = Document("t.json", content, kind_of(content))
    findings = lint_in_cloud(document, InMemory("here", "bill"))
    assert [(each.rule.id, each.path, each.what.split(" is not")[0]) for each in findings] == [
        ("named-missing", "$.Resources.thing.Properties.ThingGroups[1]", "thing group gone"),
        ("named-missing", "$.Resources.thing.Properties.ThingTypeName", "thing type type"),
    ]
    assert lint_in_cloud(Document("p.json", policy(), kind_of(policy())), InMemory()) == []


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({"enabled": False, "type": "FLEET_PROVISIONING"}, ["template-disabled"]),
        ({"enabled": True, "type": "JITP", "preProvisioningHook": {"a": "b"}}, ["hook-on-jitp"]),
        ({"enabled": True, "type": "JITP"}, []),
        ({}, []),
    ],
)
def test_stored_template_is_looked_at(stored: dict[str, Value], expected: list[str]) -> None:
    findings = lint_stored_template("t", "t.json", InMemory(**stored))
    assert [each.rule.id for each in findings] == expected


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.out, captured.err


def test_command_says_what_why_and_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(policy(allow("iot:*", f"{ARN}:client/x"))))

    code, out, err = run(capsys, "lint", bad)

    assert code == 1
    first, why, next_step = out.splitlines()
    assert first == f"error: wildcard-action: {bad}: $.Statement[0].Action: iot:* is allowed"
    assert why.startswith("  why: ")
    assert next_step.startswith("  next: ")
    assert "1 error(s)" in err


def test_command_prints_one_object_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(template({"Lot": {"Type": "String"}})))
    code, out, _ = run(capsys, "lint", "--json", bad)
    (finding,) = [json.loads(line) for line in out.splitlines()]
    assert (finding["rule"], finding["severity"], code) == ("parameter-unused", "warning", 0)


@pytest.mark.parametrize("method", METHODS)
def test_command_passes_our_own_methods(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "lint", "--method", method)
    assert (code, out) == (0, "")
    assert "0 warning(s), no error" in err


def test_file_is_looked_at_as_if_a_method_used_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(json.dumps(claim(PROVISION)))
    assert run(capsys, "lint", "--method", "claim", bad)[0] == 1
    assert run(capsys, "lint", "--method", "claim-aws-keys", bad)[0] == 0


def test_nothing_to_look_at_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "lint")
    assert code == 2
    assert "--method claim" in err


@pytest.mark.parametrize("content", ["{", "\udc80"])
def test_file_that_is_no_json_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(content.encode(errors="surrogateescape"))
    code, _, err = run(capsys, "lint", bad)
    assert code == 3
    assert "bad.json: cannot be read as JSON" in err


@pytest.mark.parametrize(("name", "problem"), [("none", "no such file"), (".", "not a regular")])
def test_file_that_cannot_be_read_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, problem: str
) -> None:
    code, _, err = run(capsys, "lint", tmp_path / name)
    assert code == 3
    assert problem in err
    assert "JSON" not in err


def test_file_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with pytest.raises(ConfigurationError, match="is not a regular file"):
            load_document(path)


class Silent:
    """A console that keeps what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, *lines: str) -> None:
        self.said += lines

    def show(self, document: object, *lines: str) -> None:
        raise AssertionError("prepare has other data to show")


def test_prepare_refuses_what_the_linter_calls_an_error(tmp_path: Path) -> None:
    for file in METHODS["single-thing"].files():
        ours = tmp_path / file.relative_to(CONFIG)
        ours.parent.mkdir(exist_ok=True)
        ours.write_text(file.read_text())
    check_before_prepare("single-thing", Silent(), tmp_path)
    (tmp_path / "policies" / "firstboot-device.json").write_text(json.dumps(policy(connect("*"))))
    console = Silent()

    with raises(LINT_FAILED, match=r"1 error\(s\)"):
        check_before_prepare("single-thing", console, tmp_path)

    assert "wildcard-resource" in console.said[0]
    _: Console = console


def test_missing_document_of_a_method_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"firstboot-single-thing\.json"):
        check_before_prepare("single-thing", Silent(), tmp_path)


def test_severities_are_two() -> None:
    assert {rule.severity for rule in RULES.values()} == set(Severity)


def test_every_rule_is_in_its_docs() -> None:
    docs = (CONFIG.resolve().parent / "docs" / "lint.md").read_text()
    listed = [line.split("`")[1] for line in docs.splitlines() if line.startswith("| `")]
    assert listed == list(RULES)


@pytest.mark.parametrize(
    ("place", "is_right"),
    [
        ("eu-central-1:123456789012", True), ("*:123456789012", True), ("eu-central-1:*", True),
        ("eu-central-1:210987654321", False), ("us-east-1:123456789012", False),
    ],
)  # fmt: skip
def test_policy_for_another_account_is_found_in_the_cloud(place: str, is_right: bool) -> None:
    content = policy(allow("iot:Connect", f"arn:aws:iot:{place}:client/x"))
    document = Document("p.json", content, kind_of(content))
    findings = list(arns_elsewhere(document, Account("123456789012", "eu-central-1")))
    assert [each.rule.id for each in findings] == ([] if is_right else ["arn"])


def test_placeholders_are_those_of_the_account_that_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(
        json.dumps(policy(allow("iot:Connect", "arn:aws:iot:@region:@account:client/x")))
    )
    account = Account("210987654321", "us-east-1")
    document = load_document(file, account.placeholders)
    assert list(arns_elsewhere(document, account)) == []
