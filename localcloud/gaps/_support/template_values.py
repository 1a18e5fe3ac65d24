"""What a value in a provisioning template may be, for ``template_grammar``.

MiniStack evaluates whatever it finds: an object where a text belongs becomes a thing's name or an
attribute. The developer guide, "Provisioning templates", has a text, a list of texts or a map of
texts for each property; a function may stand for a text, or for a list
(docs/aws-iot-facts.md, 3.1 to 3.5). A template that is otherwise is refused when it is made.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

Body = Mapping[str, Any]
Check = Callable[[str, object], Iterator[str]]
"""Yields what is wrong with a value; the first argument names it."""

_TEXT_CALLS: Final = ("Ref", "Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Sub")
_LIST_CALLS: Final = ("Fn::Split", "Fn::FindInMap")
_OVERRIDES: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "AWS::IoT::Thing": {
        "AttributePayload": ("DO_NOTHING", "REPLACE", "FAIL", "MERGE"),
        "ThingGroups": ("DO_NOTHING", "REPLACE", "FAIL", "MERGE"),
        "ThingTypeName": ("DO_NOTHING", "REPLACE", "FAIL"),
    },
    "AWS::IoT::Certificate": {"Status": ("DO_NOTHING", "REPLACE", "FAIL")},
    "AWS::IoT::Policy": {},
}
_PSEUDO: Final = "AWS::IoT::Certificate::"
_PSEUDO_NAMES: Final = (
    "Country", "Organization", "OrganizationalUnit", "DistinguishedNameQualifier", "StateName",
    "CommonName", "SerialNumber", "Id",
)  # fmt: skip


def value_error(body: Body) -> str | None:
    """Say which value in ``body`` is of no kind that the grammar has, if any is."""
    return next(_errors(body), None)


def _errors(body: Body) -> Iterator[str]:
    for section in ("Parameters", "Mappings", "Resources", "DeviceConfiguration"):
        if body.get(section) is not None and not isinstance(body[section], dict):
            yield f"{section} must be an object."
            return
    yield from _parameter_errors(body.get("Parameters") or {})
    yield from _mapping_errors(body.get("Mappings") or {})
    yield from _resource_errors(body.get("Resources") or {})
    for name, value in (body.get("DeviceConfiguration") or {}).items():
        yield from _text(f"DeviceConfiguration {name}", value)


def _parameter_errors(declared: Body) -> Iterator[str]:
    for name, spec in declared.items():
        if isinstance(spec, dict) and not isinstance(spec.get("Default", ""), str):
            yield f"The Default of parameter {name} must be a string."
        if name.startswith(_PSEUDO) and name.removeprefix(_PSEUDO) not in _PSEUDO_NAMES:
            yield f"There is no pseudo parameter {name}."


def _resource_errors(resources: Body) -> Iterator[str]:
    things = 0
    for name, resource in resources.items():
        if not isinstance(resource, dict):
            yield f"Resource {name} must be an object."
            continue
        kind, properties = resource.get("Type"), resource.get("Properties")
        if not isinstance(kind, str) or kind not in _OVERRIDES:
            yield f"Resource {name} is of an unknown type."
            continue
        if not isinstance(properties, dict):
            yield f"Properties of resource {name} must be an object."
            continue
        things += kind == "AWS::IoT::Thing"
        yield from _property_errors(name, kind, properties)
        yield from _override_errors(name, kind, resource.get("OverrideSettings"))
    if things > 1:
        yield "Only one thing resource can be defined."


def _mapping_errors(mappings: Body) -> Iterator[str]:
    for name, mapping in mappings.items():
        rows = mapping.values() if isinstance(mapping, dict) else [None]
        if not all(isinstance(row, dict) for row in rows):
            yield f"Mapping {name} must have two levels of keys."


def _property_errors(name: str, kind: str, properties: Body) -> Iterator[str]:
    known = _PROPERTIES[kind]
    if kind == "AWS::IoT::Policy" and not {"PolicyName", "PolicyDocument"} & properties.keys():
        yield "Neither policyName nor policyDocument is present in the Template."
    for each, value in properties.items():
        if each not in known:
            yield f"Resource {name} has an unknown property {each}."
        else:
            yield from known[each](f"{each} of resource {name}", value)


def _override_errors(name: str, kind: str, settings: object) -> Iterator[str]:
    if settings is not None and not isinstance(settings, dict):
        yield f"OverrideSettings of resource {name} must be an object."
        return
    for each, value in (settings or {}).items():
        if not isinstance(value, str) or value not in _OVERRIDES[kind].get(each, ()):
            yield f"OverrideSettings of resource {name} cannot have {each} {value!r}."


def _text(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield from _call_errors(what, value, _TEXT_CALLS, "a string")


def _texts(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, list):
        yield from _call_errors(what, value, _LIST_CALLS, "a list of strings")
        return
    for each in value:
        yield from _text(what, each)


def _text_map(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, dict) or _call(value):
        yield f"{what} must be a map of strings."
        return
    for each in value.values():
        yield from _text(what, each)


def _document(what: str, value: object) -> Iterator[str]:
    is_inline = isinstance(value, dict) and "Statement" in value
    if not (is_inline or isinstance(value, str) or _call(value) in _TEXT_CALLS):
        yield f"{what} must be a policy."


def _principal_type(what: str, value: object) -> Iterator[str]:
    if isinstance(value, str) and value not in {"EXCLUSIVE_THING", "NON_EXCLUSIVE_THING"}:
        yield f"{what} cannot be {value}."
    yield from _text(what, value)


def _call_errors(what: str, value: object, allowed: Sequence[str], kind: str) -> Iterator[str]:
    name = _call(value)
    if not name:
        yield f"{what} must be {kind}."
    elif name not in allowed:
        yield f"{what} has an invalid {name}: it must be {kind}."
    elif isinstance(value, dict) and not _is_well_formed(name, value[name]):
        yield f"{what} has an invalid {name}."


def _is_well_formed(name: str, argument: Any) -> bool:
    """Whether a call is given what it takes; that may be calls again."""
    if name in {"Ref", "Fn::Sub"} and isinstance(argument, str):
        return True
    parts = argument if isinstance(argument, list) else []
    checks = _ARGUMENTS.get(name, ())
    return len(parts) == len(checks) and not any(
        error for check, part in zip(checks, parts, strict=True) for error in check("", part)
    )


def _literal(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, str):
        yield f"{what} must be a string."


def _delimiter(what: str, value: object) -> Iterator[str]:
    if not isinstance(value, str) or not value:
        yield f"{what} must be a string, and not empty."


def _index(what: str, value: object) -> Iterator[str]:
    if isinstance(value, bool) or not isinstance(value, int):
        yield from _text(what, value)


_ARGUMENTS: Final[Mapping[str, Sequence[Check]]] = {
    "Fn::Join": (_literal, _texts),
    "Fn::Select": (_index, _texts),
    "Fn::Split": (_delimiter, _text),
    "Fn::FindInMap": (_text, _text, _text),
    "Fn::Sub": (_literal, _text_map),
}


def _call(value: object) -> str:
    """Return the function that ``value`` calls; "" if it is not a call."""
    if not isinstance(value, dict) or len(value) != 1:
        return ""
    (name,) = value
    return name if name == "Ref" or name.startswith("Fn::") else ""


_PROPERTIES: Final[Mapping[str, Mapping[str, Check]]] = {
    "AWS::IoT::Thing": {
        "ThingName": _text, "ThingTypeName": _text, "BillingGroup": _text,
        "ThingGroups": _texts, "AttributePayload": _text_map, "PackageVersions": _text_map,
    },
    "AWS::IoT::Certificate": {
        "CertificateId": _text, "CertificateSigningRequest": _text, "CertificatePem": _text,
        "CACertificatePem": _text, "Status": _text, "ThingPrincipalType": _principal_type,
    },
    "AWS::IoT::Policy": {"PolicyName": _text, "PolicyDocument": _document},
}  # fmt: skip
