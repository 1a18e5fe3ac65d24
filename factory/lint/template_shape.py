"""What a template consists of: its sections, and one thing, one certificate and its policies."""

from collections.abc import Iterator, Mapping
from typing import Final

from device.config.template import THING
from factory.lint.context import Context
from factory.lint.document import Json, member, members
from factory.lint.finding import MALFORMED, Finding, Rule, error, warning
from factory.lint.sources import TEMPLATES
from factory.lint.template import CERTIFICATE, POLICY, Template

NO_CERTIFICATE: Final = error(
    "no-certificate", "AWS refuses a template without a certificate, and takes only one", TEMPLATES,
    "Have one resource of Type AWS::IoT::Certificate.",
)  # fmt: skip
NO_THING: Final = error(
    "no-thing", "without a thing of its own, or with two, a device has no name in the registry: "
    "thing policy variables stay empty, and the device cannot prove who it is", TEMPLATES,
    "Have one resource of Type AWS::IoT::Thing.",
)  # fmt: skip
NO_POLICY: Final = error(
    "no-policy", "a certificate without a policy may do nothing, not even connect", TEMPLATES,
    'Have a resource of Type AWS::IoT::Policy: {"PolicyName": "firstboot-device"}.',
)  # fmt: skip

UNKNOWN: Final = warning(
    "member-unknown", "AWS does not know it and ignores it", TEMPLATES,
    "Correct its name, or remove it.",
)  # fmt: skip

_SECTIONS: Final = ("Parameters", "Mappings", "Resources", "DeviceConfiguration")
_MEMBERS: Final = frozenset({"Type", "Properties", "OverrideSettings"})
_PARAMETER: Final = frozenset({"Type", "Default"})


def shape(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Sections, resources and parameters are objects, with the members that AWS knows."""
    for rule, path, what in _misshapen(template):
        yield _found(template, rule, path, what)


def one_of_each(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """A device gets one thing, one certificate, and a policy at least."""
    path, _ = template.section("Resources")
    for kind, rule in ((CERTIFICATE, NO_CERTIFICATE), (THING, NO_THING), (POLICY, NO_POLICY)):
        number = len(list(template.resources(kind)))
        if number == 0 or (number > 1 and kind != POLICY):
            yield _found(template, rule, path, f"it has {number or 'no'} {kind}")


SHAPE_CHECKS: Final = (shape, one_of_each)


def _misshapen(template: Template) -> Iterator[tuple[Rule, str, str]]:
    for name in _SECTIONS:
        path, section = template.section(name)
        if section is not None and not isinstance(section, Mapping):
            yield MALFORMED, path, f"{name} is not an object"
    for name, inner, _value in members(template.document.content, template.path):
        if name not in _SECTIONS:
            yield UNKNOWN, inner, f"there is no section {name}"
    for path, resource in template.resources():
        yield from _resource(path, resource)
    yield from _parameters(template)
    yield from _mappings(*template.section("Mappings"))


def _resource(path: str, resource: Json) -> Iterator[tuple[Rule, str, str]]:
    if not isinstance(resource, Mapping):
        yield MALFORMED, path, "the resource is not an object"
        return
    if not isinstance(member(resource, "Properties"), Mapping):
        yield MALFORMED, f"{path}.Properties", "the Properties are not an object"
    settings = member(resource, "OverrideSettings")
    if settings is not None and not isinstance(settings, Mapping):
        yield MALFORMED, f"{path}.OverrideSettings", "the OverrideSettings are not an object"
    for name, inner, _ in members(resource, path):
        if name not in _MEMBERS:
            yield UNKNOWN, inner, f"a resource has no {name}"


def _parameters(template: Template) -> Iterator[tuple[Rule, str, str]]:
    path, _ = template.section("Parameters")
    for name, declaration in template.parameters.items():
        default = member(declaration, "Default")
        if default is not None and not isinstance(default, str):
            yield MALFORMED, f"{path}.{name}.Default", "the Default is not text"
        for inner, where, _ in members(declaration, f"{path}.{name}"):
            if inner not in _PARAMETER:
                yield UNKNOWN, where, f"a parameter has no {inner}"


def _mappings(path: str, section: Json) -> Iterator[tuple[Rule, str, str]]:
    for _, inner, mapping in members(section, path):
        rows = list(members(mapping, inner))
        if not isinstance(mapping, Mapping) or any(
            not isinstance(row, Mapping) for *_, row in rows
        ):
            yield MALFORMED, inner, "a mapping has two levels of names"


def _found(template: Template, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, template.file, path, what)
