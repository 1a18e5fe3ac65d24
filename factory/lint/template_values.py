"""What a value in a template may be: a text, a list of texts, a map of texts, or a function of it.

A property that AWS takes as a text may be a text or a call that yields one: Ref, Fn::Join,
Fn::Select, Fn::FindInMap, Fn::Sub. AWS looks at most of this when the first device comes.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from device.config.template import PSEUDO_PREFIX, THING
from device.identity.csr import FIELD_IN_TEMPLATE
from factory.lint.context import Context
from factory.lint.document import Json, elements, members
from factory.lint.finding import Finding, Rule, error
from factory.lint.sources import TEMPLATES
from factory.lint.template import (
    CERTIFICATE,
    CERTIFICATE_ID,
    POLICY,
    Flavour,
    Template,
)

VALUE_KIND: Final = error(
    "value-kind", "AWS needs another type of value here, and fails only when the first device "
    "comes, or never", TEMPLATES,
    'Write text, or a function that returns text: {"Ref": "SerialNumber"}. Names of functions are '
    "case-sensitive.",
)  # fmt: skip
FUNCTION_SHAPE: Final = error(
    "function-shape", "AWS cannot evaluate the function, and refuses every device", TEMPLATES,
    'Fn::Join ["-", [...]], Fn::Select [0, [...]], Fn::FindInMap ["Map", "key", "key"], Fn::Split '
    '["-", "text"], Fn::Sub "text" or ["text", {...}].',
)  # fmt: skip
CERTIFICATE_STATUS: Final = error(
    "certificate-status", "AWS takes a template only if its certificate has the Status ACTIVE or "
    "INACTIVE, and then sets it", TEMPLATES, 'Write "Status": "ACTIVE".',
)  # fmt: skip
PSEUDO_UNKNOWN: Final = error(
    "pseudo-unknown", "AWS fills in CommonName, SerialNumber, Country, Organization, "
    "OrganizationalUnit, StateName, DistinguishedNameQualifier and Id, and this never", TEMPLATES,
    "Use one of those, or a parameter with a name of your own.",
)  # fmt: skip
THING_NAME: Final = error(
    "thing-name", "AWS does not accept this thing name: 1 to 128 of a-z A-Z 0-9 : _ -",
    "AWS IoT API reference, CreateThing", "Use another thing name.",
)  # fmt: skip
ATTRIBUTE_TEXT: Final = error(
    "attribute-text", "an attribute's name has 1 to 128 of a-z A-Z 0-9 _ . , @ / : # -, its value "
    "up to 800 of those and = [ ]", "AWS IoT API reference, AttributePayload",
    "Write it otherwise.",
)  # fmt: skip

Check: TypeAlias = Callable[[Json, str], Iterator[tuple[Rule, str, str]]]
"""Yields rule, path and what is wrong with a value."""

_TEXT_CALLS: Final = frozenset({"Ref", "Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Sub"})
_LIST_CALLS: Final = frozenset({"Fn::Split", "Fn::FindInMap"})
_CALLS: Final = _TEXT_CALLS | _LIST_CALLS
_STATUS: Final = re.compile(r"active|inactive", re.IGNORECASE)
_PRINCIPAL_TYPES: Final = frozenset({"EXCLUSIVE_THING", "NON_EXCLUSIVE_THING"})
_THING_NAME: Final = re.compile(r"[a-zA-Z0-9:_-]{1,128}")
_ATTRIBUTE_NAME: Final = re.compile(r"[a-zA-Z0-9_.,@/:#-]{1,128}")
_ATTRIBUTE_VALUE: Final = re.compile(r"[a-zA-Z0-9_.,@/:#=\[\]-]{0,800}")
_PSEUDO_NAMES: Final = frozenset({*FIELD_IN_TEMPLATE, "Id"})


@dataclass(frozen=True)
class Values:
    """The checks, for one template: a map that is looked into must be in it."""

    mappings: Mapping[str, Json]

    def text(self, value: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        """Check what is to be a text."""
        if isinstance(value, str):
            return
        name = call_name(value)
        if name is None or (name in _CALLS and name not in _TEXT_CALLS):
            yield VALUE_KIND, path, f"{_kind(value)} where a text belongs"
        else:
            yield from self.call(value, path)

    def texts(self, value: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        """Check what is to be a list of texts."""
        if isinstance(value, list):
            for inner, each in elements(value, path):
                yield from self.text(each, inner)
        elif (name := call_name(value)) is None or (name in _CALLS and name not in _LIST_CALLS):
            yield VALUE_KIND, path, f"{_kind(value)} where a list of texts belongs"
        else:
            yield from self.call(value, path)

    def text_map(self, value: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        """Check what is to be a map of texts."""
        if not isinstance(value, Mapping) or call_name(value) is not None:
            yield VALUE_KIND, path, f"{_kind(value)} where an object of texts belongs"
            return
        for _, inner, each in members(value, path):
            yield from self.text(each, inner)

    def call(self, value: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        """Check the argument of a Ref or function; an unknown one has a rule of its own."""
        ((name, argument),) = value.items() if isinstance(value, Mapping) else (("", None),)
        shapes: Mapping[str, Check] = {
            "Ref": self._ref, "Fn::Join": self._join, "Fn::Select": self._select,
            "Fn::FindInMap": self._find, "Fn::Split": self._split, "Fn::Sub": self._sub,
        }  # fmt: skip
        if name in shapes:
            yield from shapes[name](argument, f"{path}.{name}")

    def _ref(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        if not isinstance(argument, str):
            yield FUNCTION_SHAPE, path, f"Ref of {_kind(argument)}"

    def _join(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        if not (isinstance(argument, list) and len(argument) == 2 and isinstance(argument[0], str)):
            yield FUNCTION_SHAPE, path, "Fn::Join takes a text and a list"
        else:
            yield from self.texts(argument[1], f"{path}[1]")

    def _select(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        if not (isinstance(argument, list) and len(argument) == 2):
            yield FUNCTION_SHAPE, path, "Fn::Select takes an index and a list"
            return
        index, listed = argument
        if isinstance(listed, list) and _number(index) not in {*range(len(listed)), None}:
            yield FUNCTION_SHAPE, path, f"there is no element {index} in a list of {len(listed)}"
        if _number(index) is None and call_name(index) not in _TEXT_CALLS:
            yield FUNCTION_SHAPE, f"{path}[0]", f"{_kind(index)} is not an index"
        yield from self.texts(listed, f"{path}[1]")

    def _find(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        if not (isinstance(argument, list) and len(argument) == 3):
            yield FUNCTION_SHAPE, path, "Fn::FindInMap takes a map and two keys"
            return
        for inner, each in elements(argument, path):
            yield from self.text(each, inner)
        found: Json = self.mappings
        for inner, each in elements(argument, path):
            if not isinstance(each, str):
                return
            if not isinstance(found, Mapping) or each not in found:
                yield FUNCTION_SHAPE, inner, f"there is no {each} in Mappings"
                return
            found = found[each]

    def _split(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        is_pair = isinstance(argument, list) and len(argument) == 2
        if not (isinstance(argument, list) and is_pair and isinstance(argument[0], str)):
            yield FUNCTION_SHAPE, path, "Fn::Split takes a delimiter and a text"
        elif not argument[0]:
            yield FUNCTION_SHAPE, f"{path}[0]", "the delimiter is empty"
        else:
            yield from self.text(argument[1], f"{path}[1]")

    def _sub(self, argument: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
        if isinstance(argument, str):
            return
        is_pair = isinstance(argument, list) and len(argument) == 2
        if not (isinstance(argument, list) and is_pair and isinstance(argument[0], str)):
            yield FUNCTION_SHAPE, path, "Fn::Sub takes a text, or a text and an object of values"
        else:
            yield from self.text_map(argument[1], f"{path}[1]")


def call_name(value: Json) -> str | None:
    """Return the function that ``value`` calls; None if it is not a call."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return None
    (name,) = value
    return name if name == "Ref" or name.startswith("Fn::") else None


def values(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Every property, and every setting for the device, is of the kind that AWS takes."""
    _, mappings = template.section("Mappings")
    check = Values(mappings if isinstance(mappings, Mapping) else {})
    for rule, where, what in _values(template, check):
        yield Finding(rule, template.file, where, what)


def _values(template: Template, check: Values) -> Iterator[tuple[Rule, str, str]]:
    kinds: Mapping[str, Mapping[str, Check]] = {
        THING: {
            "ThingName": check.text, "ThingTypeName": check.text, "BillingGroup": check.text,
            "ThingGroups": check.texts, "AttributePayload": check.text_map,
            "PackageVersions": check.text_map,
        },
        CERTIFICATE: dict.fromkeys(
            ("CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem",
             "ThingPrincipalType"), check.text),
        POLICY: {"PolicyName": check.text},
    }  # fmt: skip
    for kind, properties in kinds.items():
        for path, resource in template.resources(kind):
            found = resource.get("Properties") if isinstance(resource, Mapping) else None
            for name, inner, value in members(found, f"{path}.Properties"):
                if name in properties:
                    yield from properties[name](value, inner)
    for path, value in _configuration(template):
        yield from check.text(value, path)


def _configuration(template: Template) -> Iterator[tuple[str, Json]]:
    path, section = template.section("DeviceConfiguration")
    for _, inner, value in members(section, path):
        is_nested = isinstance(value, list) or (
            isinstance(value, Mapping) and call_name(value) is None
        )
        if not is_nested:  # which has a rule of its own
            yield inner, value


def literals(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What is written out is what AWS takes under that name."""
    for rule, path, what in _literals(template):
        yield Finding(rule, template.file, path, what)


def _literals(template: Template) -> Iterator[tuple[Rule, str, str]]:
    for path, properties in _properties(template, THING):
        name = properties.get("ThingName")
        if name is None or (isinstance(name, str) and not _THING_NAME.fullmatch(name)):
            yield THING_NAME, f"{path}.ThingName", "there is none" if name is None else f"{name!r}"
        yield from _attributes(properties.get("AttributePayload"), f"{path}.AttributePayload")
    for path, properties in _properties(template, CERTIFICATE):
        yield from _certificate(template, properties, path)
    declared, _ = template.section("Parameters")
    for name in template.parameters:
        if name.startswith(PSEUDO_PREFIX) and name.removeprefix(PSEUDO_PREFIX) not in _PSEUDO_NAMES:
            yield PSEUDO_UNKNOWN, f"{declared}.{name}", f"there is no {name}"


def _certificate(
    template: Template, properties: Mapping[str, Json], path: str
) -> Iterator[tuple[Rule, str, str]]:
    status, is_stored = properties.get("Status"), template.flavour is not Flavour.REGISTRATION
    is_status = isinstance(status, str) and _STATUS.fullmatch(status)
    if not is_status and (is_stored or (status is not None and call_name(status) is None)):
        what = "there is none" if status is None else f"it is {_shown(status)}"
        yield CERTIFICATE_STATUS, f"{path}.Status", what
    principal = properties.get("ThingPrincipalType")
    if isinstance(principal, str) and principal not in _PRINCIPAL_TYPES:
        what = f"{principal!r} is not one of {', '.join(sorted(_PRINCIPAL_TYPES))}"
        yield VALUE_KIND, f"{path}.ThingPrincipalType", what
    identifier = properties.get("CertificateId")
    if is_stored and identifier is not None and identifier != {"Ref": CERTIFICATE_ID}:
        what = f"it is {_shown(identifier)}, not a Ref to {CERTIFICATE_ID}"
        yield VALUE_KIND, f"{path}.CertificateId", what


def _attributes(payload: Json, path: str) -> Iterator[tuple[Rule, str, str]]:
    for name, inner, value in members(payload if call_name(payload) is None else None, path):
        if not _ATTRIBUTE_NAME.fullmatch(name):
            yield ATTRIBUTE_TEXT, inner, f"{name!r} is not an attribute name"
        if isinstance(value, str) and not _ATTRIBUTE_VALUE.fullmatch(value):
            yield ATTRIBUTE_TEXT, inner, f"{value[:80]!r} is not an attribute value"


def _properties(template: Template, kind: str) -> Iterator[tuple[str, Mapping[str, Json]]]:
    for path, resource in template.resources(kind):
        found = resource.get("Properties") if isinstance(resource, Mapping) else None
        if isinstance(found, Mapping):
            yield f"{path}.Properties", found


VALUE_CHECKS: Final = (values, literals)


def _number(index: Json) -> int | None:
    is_number = isinstance(index, int) and not isinstance(index, bool)
    return int(str(index)) if is_number or (isinstance(index, str) and index.isdecimal()) else None


def _kind(value: Json) -> str:
    if value is None:
        return "null"
    names = {
        bool: "a truth value",
        int: "a number",
        float: "a number",
        str: "a text",
        list: "a list",
    }
    return names.get(type(value), f"the object {_shown(value)}")


def _shown(value: Json) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
