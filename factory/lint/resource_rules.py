"""What is looked for in the resources of a provisioning template."""

from collections.abc import Iterator, Mapping
from typing import Final

from device.config.template import THING
from factory.account.documents import parse_json
from factory.account.thing_policy import THING_POLICY
from factory.lint.context import Context
from factory.lint.document import Document, Json, Kind, member, members
from factory.lint.finding import Finding, Rule, error, warning
from factory.lint.sources import GUIDE, QUOTAS, TEMPLATES
from factory.lint.template import CERTIFICATE, POLICY, Flavour, Template
from factory.lint.template_rules import TemplateCheck, referred

RESOURCE_UNKNOWN: Final = error(
    "resource-unknown", "a template makes AWS::IoT::Thing, AWS::IoT::Certificate and "
    "AWS::IoT::Policy", TEMPLATES, "Create other resources elsewhere.",
)  # fmt: skip
PROPERTY_UNKNOWN: Final = error(
    "property-unknown", "AWS does not know this property", TEMPLATES, "Correct its name."
)
CERTIFICATE_SOURCE: Final = error(
    "certificate-source", "a certificate comes from exactly one of CertificateId, "
    "CertificateSigningRequest and CertificatePem; just-in-time and fleet provisioning have one "
    "already, and take CertificateId only", TEMPLATES,
    'Write "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"} there.',
)  # fmt: skip
NOT_EXCLUSIVE: Final = warning(
    "not-exclusive", "the certificate can be attached to a second thing, which then connects with "
    "the same key; and lifecycle events do not name the thing",
    f'{GUIDE}, "Associating an AWS IoT thing to an MQTT client connection"',
    'Write "ThingPrincipalType": "EXCLUSIVE_THING" into the certificate\'s Properties.',
)  # fmt: skip
POLICY_NAME_OR_DOCUMENT: Final = error(
    "policy-name-or-document", "a Policy resource has PolicyName or PolicyDocument, not both and "
    "not neither", TEMPLATES, "Choose one; a name lets all devices share one policy.",
)  # fmt: skip
TOO_MANY_POLICIES: Final = error(
    "too-many-policies", "a certificate can have ten policies", QUOTAS, "Join some of them."
)
OVERRIDE_UNKNOWN: Final = error(
    "override-unknown", "OverrideSettings know DO_NOTHING, REPLACE, FAIL, and for ThingGroups and "
    "AttributePayload MERGE; a thing has AttributePayload, ThingTypeName and ThingGroups, a "
    "certificate Status", TEMPLATES, "Correct it.",
)  # fmt: skip
THING_NAME_DIFFERS: Final = error(
    "thing-name-differs", "the device connects under another name than its thing's: thing "
    "variables then have no value; of an EXCLUSIVE_THING they have one, but firstboot-device "
    "allows the thing's name only: AWS IoT always refuses it",
    f'{GUIDE}, "Thing policy variables"',
    "Take ThingName, and thing_name in the device's settings, from the same field; or attach the "
    "certificate as EXCLUSIVE_THING, with a policy that allows the device's client id.",
)  # fmt: skip
THING_NAME_SHARED: Final = error(
    "thing-name-shared", "every device of this template becomes the same thing, and they take "
    "each other's connection", TEMPLATES,
    'Take it from what differs per device, such as {"Ref": "SerialNumber"}.',
)  # fmt: skip
TOO_MANY_ATTRIBUTES: Final = error(
    "too-many-attributes", "a thing without a type has three attributes", QUOTAS,
    "Give the thing a ThingTypeName (then it has fifty), or use fewer.",
)  # fmt: skip

_PROPERTIES: Final[Mapping[str, frozenset[str]]] = {
    THING: frozenset({
        "ThingName", "AttributePayload", "ThingTypeName", "ThingGroups", "BillingGroup",
        "PackageVersions",
    }),
    CERTIFICATE: frozenset({
        "CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem",
        "Status", "ThingPrincipalType",
    }),
    POLICY: frozenset({"PolicyName", "PolicyDocument"}),
}  # fmt: skip
_EXCLUSIVE: Final = "EXCLUSIVE_THING"
_SOURCES: Final = ("CertificateId", "CertificateSigningRequest", "CertificatePem")
_OVERRIDES: Final[Mapping[str, frozenset[str]]] = {
    THING: frozenset({"AttributePayload", "ThingTypeName", "ThingGroups"}),
    CERTIFICATE: frozenset({"Status"}),
    POLICY: frozenset(),
}
_OVERRIDE_VALUES: Final = frozenset({"DO_NOTHING", "REPLACE", "FAIL"})
_MERGED: Final = frozenset({"AttributePayload", "ThingGroups"})
_POLICIES_AT_MOST: Final = 10
_ATTRIBUTES_AT_MOST: Final = 3


def kinds(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Resources and their properties are those that AWS knows."""
    for path, resource in template.resources():
        kind = member(resource, "Type")
        known = _PROPERTIES.get(str(kind))
        if known is None:
            yield _found(template, RESOURCE_UNKNOWN, f"{path}.Type", f"{kind} is unknown")
            continue
        for name, inner, _ in members(member(resource, "Properties"), f"{path}.Properties"):
            if name not in known:
                yield _found(template, PROPERTY_UNKNOWN, inner, f"{name} of {kind}")


def certificates(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """The certificate comes from one place, and from where this kind of template has one."""
    for path, resource in template.resources(CERTIFICATE):
        given = [name for name in _SOURCES if member(member(resource, "Properties"), name)]
        inner = f"{path}.Properties"
        if len(given) != 1:
            what = f"{' and '.join(given) or 'none'} of {', '.join(_SOURCES)} is given"
            yield _found(template, CERTIFICATE_SOURCE, inner, what)
        elif template.flavour is not Flavour.REGISTRATION and given != ["CertificateId"]:
            what = f"{given[0]} in a {template.flavour} template"
            yield _found(template, CERTIFICATE_SOURCE, f"{inner}.{given[0]}", what)


def exclusive(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """The certificate is its thing's alone."""
    for path, resource in template.resources(CERTIFICATE):
        properties = member(resource, "Properties")
        kind = member(properties, "ThingPrincipalType")
        if isinstance(properties, Mapping) and kind in (None, "NON_EXCLUSIVE_THING"):
            what = f"ThingPrincipalType is {kind or 'missing'}"
            yield _found(template, NOT_EXCLUSIVE, f"{path}.Properties", what)


def policies(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Policies have a name or a document, and are not too many."""
    found = list(template.resources(POLICY))
    if len(found) > _POLICIES_AT_MOST:
        path, _ = template.section("Resources")
        yield _found(template, TOO_MANY_POLICIES, path, f"it attaches {len(found)}")
    for path, resource in found:
        properties = member(resource, "Properties")
        given = [name for name in ("PolicyName", "PolicyDocument") if member(properties, name)]
        if len(given) != 1:
            what = f"{' and '.join(given) or 'neither'} is given"
            yield _found(template, POLICY_NAME_OR_DOCUMENT, f"{path}.Properties", what)


def overrides(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """OverrideSettings are AWS's."""
    for path, resource in template.resources():
        known = _OVERRIDES.get(str(member(resource, "Type")), frozenset())
        settings = member(resource, "OverrideSettings")
        for name, inner, value in members(settings, f"{path}.OverrideSettings"):
            values = _OVERRIDE_VALUES | ({"MERGE"} if name in _MERGED else set())
            if name not in known or not isinstance(value, str) or value not in values:
                yield _found(template, OVERRIDE_UNKNOWN, inner, f"{name}: {value}")


def thing_names(template: Template, context: Context) -> Iterator[Finding]:
    """The thing is called as the device connects, unless certificate and policy allow another."""
    is_exclusive = _EXCLUSIVE in _values(template, CERTIFICATE, "ThingPrincipalType")
    is_free = is_exclusive and THING_POLICY not in _values(template, POLICY, "PolicyName")
    if context.connects_as is None or is_free:
        return
    for path, resource in template.resources(THING):
        given = member(member(resource, "Properties"), "ThingName")
        referred = member(given, "Ref")
        name = context.value_of(referred) if isinstance(referred, str) else given
        if isinstance(name, str) and name != context.connects_as:
            what = f"the thing is {name}, and the device connects as {context.connects_as}"
            yield _found(template, THING_NAME_DIFFERS, f"{path}.Properties.ThingName", what)


def _values(template: Template, kind: str, name: str) -> list[Json]:
    resources = [resource for _, resource in template.resources(kind)]
    return [member(member(each, "Properties"), name) for each in resources]


def own_things(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Each device becomes a thing of its own: the name has a parameter in it."""
    if template.flavour is Flavour.REGISTRATION:  # RegisterThing may take one for each thing
        return
    for path, resource in template.resources(THING):
        inner = f"{path}.Properties.ThingName"
        given = member(member(resource, "Properties"), "ThingName")
        if given is not None and not any(referred(inner, {"ThingName": given})):
            yield _found(template, THING_NAME_SHARED, inner, f"it is always {given!r:.80}")


def attributes(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """A thing has no more attributes than AWS takes."""
    for path, resource in template.resources(THING):
        properties = member(resource, "Properties")
        given = member(properties, "AttributePayload")
        many = isinstance(given, Mapping) and len(given) > _ATTRIBUTES_AT_MOST
        if many and not member(properties, "ThingTypeName"):
            inner = f"{path}.Properties.AttributePayload"
            yield _found(template, TOO_MANY_ATTRIBUTES, inner, "it has no type, but more")


RESOURCE_CHECKS: Final[tuple[TemplateCheck, ...]] = (
    kinds, certificates, exclusive, policies, overrides, thing_names, own_things, attributes,
)  # fmt: skip


def inline_policies(template: Template) -> Iterator[Document]:
    """Yield each PolicyDocument as a document of its own; one in quotes is read."""
    for path, resource in template.resources(POLICY):
        content = member(member(resource, "Properties"), "PolicyDocument")
        if content is not None and not _is_computed(content):
            inner = f"{path}.Properties.PolicyDocument"
            yield Document(template.file, _parsed(content), Kind.IOT_POLICY, inner)


def _parsed(content: Json) -> Json:
    if not isinstance(content, str):
        return content
    try:
        parsed: Json = parse_json(content)
    except (ValueError, RecursionError):
        return None
    return parsed


def _is_computed(content: Json) -> bool:
    names = content if isinstance(content, Mapping) else ()
    return any(name.startswith(("Ref", "Fn::")) for name in names)


def _found(template: Template, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, template.file, path, what)
