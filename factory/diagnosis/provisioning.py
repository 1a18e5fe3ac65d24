"""What stands in the way of a device that is not registered yet: CA, template, role, Lambda, rule.

Sources: AWS IoT Core developer guide, "Just-in-time provisioning", "Just-in-time registration",
"Provisioning devices that don't have device certificates", "Pre-provisioning hooks".
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from device.config.methods import CLAIM_METHODS
from device.config.template import required_subject_fields
from device.identity.certificates import subject_fields
from factory.account import allow_list
from factory.account.cloud import items, structure, text
from factory.diagnosis.reason import Reason, reason
from factory.diagnosis.subject import Subject, parsed_document
from factory.errors.diagnosis import (
    CA_NOT_REGISTERED,
    CA_TURNED_OFF,
    FUNCTION_UNUSABLE,
    NOT_ON_THE_LIST,
    ROLE_UNUSABLE,
    RULE_UNUSABLE,
    SUBJECT_LACKS_FIELD,
    TEMPLATE_UNUSABLE,
)
from factory.lint.statement import meets

_REGISTERED: Final = "$aws/events/certificates/registered/"
_RESOURCES: Final = {
    "AWS::IoT::Policy": ("PolicyName", "GetPolicy", "policyName"),
    "AWS::IoT::Thing": ("ThingTypeName", "DescribeThingType", "thingTypeName"),
}
_RIGHTS: Final = "AWSIoTThingsRegistration"


def is_wanted(subject: Subject) -> bool:
    """Whether the device is not registered, or its registration never came to an end."""
    if subject.certificate is None or text(subject.certificate, "status").startswith("PENDING"):
        return True
    return subject.asked.serial is not None and subject.thing is None


def certificate_authority(subject: Subject) -> Iterator[Reason]:
    """See that the CA of a just-in-time certificate registers it."""
    if not is_wanted(subject) or subject.parsed is None or subject.is_by_aws:
        return
    found = subject.issuer_ca
    issuer = subject.parsed.issuer.rfc4514_string()
    if found is None:
        yield reason(CA_NOT_REGISTERED, "CA", f"{issuer} is not registered")
        return
    ca = structure(found, "certificateDescription")
    if problem := _turned_off(ca, subject.now):
        yield reason(CA_TURNED_OFF, "CA", f"{text(ca, 'certificateId')} ({issuer}) {problem}")


def _turned_off(ca: Mapping[str, object], now: datetime) -> str:
    if ca["status"] != "ACTIVE":
        return f"is {ca['status']}"
    if ca.get("autoRegistrationStatus") != "ENABLE":
        return "has auto-registration DISABLE"
    end = x509.load_pem_x509_certificate(str(ca["certificatePem"]).encode()).not_valid_after_utc
    return f"ended at {end.isoformat()}" if end < now else ""


def just_in_time(subject: Subject) -> Iterator[Reason]:
    """See what a CA does with a new certificate: its template, else a rule and a Lambda."""
    if not is_wanted(subject) or subject.parsed is None or subject.issuer_ca is None:
        return
    config = structure(subject.issuer_ca, "registrationConfig")
    ca_id = text(structure(subject.issuer_ca, "certificateDescription"), "certificateId")
    if name := config.get("templateName"):
        yield from _template(subject, str(name))
    elif body := config.get("templateBody"):
        yield from _fields(subject, f"the template of {ca_id}", str(body))
        yield from _body(subject, f"the template of {ca_id}", parsed_document(body))
        yield from _role(subject, str(config.get("roleArn", "")))
    else:
        yield from _rule(subject, ca_id)


def claim(subject: Subject) -> Iterator[Reason]:
    """See that the templates for claims can be applied, and that a hook can be called."""
    if not is_wanted(subject) or subject.parsed is not None:
        return
    known = subject.listed("ListProvisioningTemplates", "templates")
    listed = [each for each in known if each.get("type") != "JITP"]
    made = subject.asked.made
    if not listed and made is not None and made.method in CLAIM_METHODS:
        where = subject.cloud.account
        yield reason(TEMPLATE_UNUSABLE, "template", f"{where} has no provisioning template")
    for each in listed:
        yield from _template(subject, text(each, "templateName"))
    yield from _providers(subject)


def _template(subject: Subject, name: str) -> Iterator[Reason]:
    found = subject.read("iot", "DescribeProvisioningTemplate", templateName=name)
    if found is None:
        yield reason(TEMPLATE_UNUSABLE, "template", f"{name} is missing")
        return
    if not found.get("enabled"):
        yield reason(TEMPLATE_UNUSABLE, "template", f"{name} is disabled")
    yield from _fields(subject, name, str(found.get("templateBody")))
    yield from _body(subject, name, parsed_document(found.get("templateBody")))
    yield from _role(subject, str(found.get("provisioningRoleArn", "")))
    if hook := structure(found, "preProvisioningHook").get("targetArn"):
        yield from _function(subject, str(hook), f"the hook of {name}")
        yield from _listed(subject)


def _fields(subject: Subject, name: str, body: str) -> Iterator[Reason]:
    """See that the subject has what a just-in-time template takes from it."""
    if subject.parsed is None:
        return
    held = subject_fields(subject.parsed.public_bytes(Encoding.PEM))
    lacking = required_subject_fields(body.encode(), name) - held
    if lacking:
        evidence = f"{name} needs {', '.join(sorted(lacking))}"
        yield reason(SUBJECT_LACKS_FIELD, "certificate", evidence)


def _body(subject: Subject, name: str, body: Mapping[str, object]) -> Iterator[Reason]:
    """See that what the template names is in the account."""
    for kind, properties in _resources(body):
        field, operation, parameter = _RESOURCES.get(kind, ("", "", ""))
        groups = properties.get("ThingGroups")
        wanted = [(properties.get(field), operation, parameter, field)] if field else []
        if isinstance(groups, list):
            group = ("DescribeThingGroup", "thingGroupName", "group")
            wanted += [(each, *group) for each in groups]
        for named, describe, by, what in wanted:
            if isinstance(named, str) and subject.read("iot", describe, **{by: named}) is None:
                evidence = f"{name} names the {what} {named}, which is missing"
                yield reason(TEMPLATE_UNUSABLE, "template", evidence)


def _resources(body: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    resources = body.get("Resources")
    for each in resources.values() if isinstance(resources, Mapping) else ():
        if isinstance(each, Mapping) and isinstance(each.get("Properties"), Mapping):
            yield str(each.get("Type")), each["Properties"]


def _role(subject: Subject, arn: str) -> Iterator[Reason]:
    name = arn.rpartition("/")[2]
    found = subject.read("iam", "GetRole", RoleName=name)
    if found is None:
        yield reason(ROLE_UNUSABLE, "role", f"{arn} is missing")
        return
    trust = json.dumps(structure(found, "Role").get("AssumeRolePolicyDocument"), default=str)
    if "iot.amazonaws.com" not in trust:
        yield reason(ROLE_UNUSABLE, "role", f"AWS IoT may not assume {name}")
    attached = items(
        subject.read("iam", "ListAttachedRolePolicies", RoleName=name) or {}, "AttachedPolicies"
    )
    inline = (subject.read("iam", "ListRolePolicies", RoleName=name) or {}).get("PolicyNames")
    if not attached and not inline:
        yield reason(ROLE_UNUSABLE, "role", f"{name} has no policy; a template needs {_RIGHTS}")


def _function(subject: Subject, arn: str, what: str) -> Iterator[Reason]:
    name = arn.rpartition(":")[2]
    if subject.read("lambda", "GetFunction", FunctionName=name) is None:
        yield reason(FUNCTION_UNUSABLE, "Lambda", f"{what} is {name}, which is missing")
        return
    policy = (subject.read("lambda", "GetPolicy", FunctionName=name) or {}).get("Policy", "")
    if "iot.amazonaws.com" not in str(policy):
        yield reason(FUNCTION_UNUSABLE, "Lambda", f"AWS IoT may not invoke {name}, {what}")


def hears_of_ca(pattern: str, ca_id: str) -> bool:
    """Whether a rule on the topic filter ``pattern`` gets the events of a CA's new certificates.

    A wildcard at the beginning does not match topics that begin with ``$`` (MQTT 5, 4.7.2).
    """
    return pattern.startswith("$") and meets(f"{_REGISTERED}{ca_id}", pattern)


def _rule(subject: Subject, ca_id: str) -> Iterator[Reason]:
    heard = False
    for each in subject.listed("ListTopicRules", "rules"):
        if not hears_of_ca(str(each.get("topicPattern", "")), ca_id):
            continue
        heard = True
        name = text(each, "ruleName")
        rule = structure(subject.read("iot", "GetTopicRule", ruleName=name) or {}, "rule")
        if rule.get("ruleDisabled"):
            yield reason(RULE_UNUSABLE, "rule", f"{name} is disabled")
        for action in items(rule, "actions"):
            if arn := structure(action, "lambda").get("functionArn"):
                yield from _function(subject, str(arn), f"the Lambda of the rule {name}")
    if not heard:
        yield reason(RULE_UNUSABLE, "rule", f"no rule is for {_REGISTERED}{ca_id}")
    yield from _listed(subject)


def _listed(subject: Subject) -> Iterator[Reason]:
    """See that the device is on the station's allow-list, where the account has one."""
    serial = subject.asked.serial or subject.client_id
    if (
        serial is None
        or subject.read("dynamodb", "DescribeTable", TableName=allow_list.TABLE) is None
    ):
        return
    found = subject.cloud.call(
        "dynamodb", "GetItem", TableName=allow_list.TABLE, Key={"SerialNumber": {"S": serial}}
    )
    if "Item" not in found:
        yield reason(NOT_ON_THE_LIST, "allow-list", f"{serial} is not in {allow_list.TABLE}")
        return
    taken = str(structure(structure(found, "Item"), "CertificateId").get("S", ""))
    if taken and subject.certificate_id not in {None, taken}:
        yield reason(NOT_ON_THE_LIST, "allow-list", f"{serial} is taken by certificate {taken}")


def _providers(subject: Subject) -> Iterator[Reason]:
    listed = items(subject.read("iot", "ListCertificateProviders") or {}, "certificateProviders")
    for each in listed:
        name = text(each, "certificateProviderName")
        found = subject.read("iot", "DescribeCertificateProvider", certificateProviderName=name)
        if arn := (found or {}).get("lambdaFunctionArn"):
            yield from _function(subject, str(arn), f"the certificate provider {name}")
