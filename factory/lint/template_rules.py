"""What is looked for in a provisioning template's parameters, references and sections."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from factory.lint import rules
from factory.lint.context import Context
from factory.lint.document import Json, elements, length, member, members
from factory.lint.finding import Finding, Rule
from factory.lint.template import CERTIFICATE_ID, POLICY, PSEUDO, Flavour, Template

TemplateCheck: TypeAlias = Callable[[Template, Context], Iterator[Finding]]

_LONGEST: Final = 10_240
_FUNCTIONS: Final = frozenset({"Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Split", "Fn::Sub"})
_SUBSTITUTED: Final = re.compile(r"\$\{([^}!]+)\}")
_SUBJECT_FIELDS: Final[Mapping[str, str]] = {
    "Country": "country",
    "Organization": "organization",
    "OrganizationalUnit": "organizational_unit",
    "DistinguishedNameQualifier": "dn_qualifier",
    "StateName": "state",
    "CommonName": "common_name",
    "SerialNumber": "serial_number",
}
"""AWS's pseudo parameters, and what the device's settings call the field."""


def parameters(template: Template, context: Context) -> Iterator[Finding]:
    """Each parameter is a String, gets a value, and is used."""
    path, _ = template.section("Parameters")
    used = {name for _, name in references(template)}
    for name, declaration in template.parameters.items():
        inner = f"{path}.{name}"
        if member(declaration, "Type") != "String":
            yield _found(template, rules.PARAMETER_TYPE, inner, f"{name} is no String")
        if member(declaration, "Default") is None and (why := _no_source(template, context, name)):
            yield _found(template, rules.PARAMETER_WITHOUT_SOURCE, inner, why)
        # One with a Default may be for a hook alone, and does no harm.
        if name not in used and member(declaration, "Default") is None:
            yield _found(template, rules.PARAMETER_UNUSED, inner, f"{name} is nowhere used")
    for name in sorted((context.given_parameters or frozenset()) - set(template.parameters)):
        yield _found(template, rules.PARAMETER_NOT_DECLARED, path, f"{name} is not declared")


def known_references(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What is referred to is declared, and AWS fills it in."""
    for path, name in references(template):
        if name.startswith("AWS::") and not name.startswith(PSEUDO):
            yield _found(template, rules.AWS_PARAMETER, path, f"{name} is no parameter here")
        elif name not in template.parameters and name != CERTIFICATE_ID:
            yield _found(template, rules.UNKNOWN_REF, path, f"{name} is not declared")
        elif _is_subject_field(name) and template.flavour is not Flavour.JUST_IN_TIME:
            yield _found(template, rules.PSEUDO_PARAMETER, path, f"{name} stays empty here")


def known_functions(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Functions are AWS's, and where AWS takes them."""
    mappings, _ = template.section("Mappings")
    policies = tuple(path for path, _ in template.resources(POLICY))
    for path, name in _functions(template):
        if path.startswith(mappings):
            yield _found(template, rules.FUNCTION_NOT_HERE, path, f"{name} in Mappings")
        elif name not in {*_FUNCTIONS, "Ref"}:
            yield _found(template, rules.UNKNOWN_FUNCTION, path, f"there is no {name}")
        elif name == "Fn::Join" and path.startswith(policies):
            yield _found(template, rules.FUNCTION_NOT_HERE, path, f"{name} in a Policy resource")
        elif name != "Ref" and template.flavour is not Flavour.FLEET:
            yield _found(template, rules.FUNCTION_UNDOCUMENTED, path, f"{name} is used")


def configuration(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """DeviceConfiguration is flat, and in a template whose devices get it."""
    path, section = template.section("DeviceConfiguration")
    if section is not None and template.flavour is not Flavour.FLEET:
        yield _found(template, rules.CONFIGURATION_NOT_SENT, path, "the device never gets it")
    for name, inner, value in members(section, path):
        if isinstance(value, list) or (isinstance(value, Mapping) and not _is_call(value)):
            yield _found(template, rules.CONFIGURATION_NESTED, inner, f"{name} is not a string")


def size(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """The template is not longer than AWS takes."""
    if (characters := length(template.document.content)) > _LONGEST:
        what = f"it has {characters} characters"
        yield _found(template, rules.TEMPLATE_TOO_LONG, template.path, what)


TEMPLATE_CHECKS: Final[tuple[TemplateCheck, ...]] = (
    parameters, known_references, known_functions, configuration, size,
)  # fmt: skip


def references(template: Template) -> Iterator[tuple[str, str]]:
    """Yield path and name of each parameter that is referred to, by Ref or in Fn::Sub."""
    for section in ("Resources", "DeviceConfiguration"):
        for path, name, argument in _calls(*template.section(section)):
            if name == "Ref" and isinstance(argument, str):
                yield path, argument
            elif name == "Fn::Sub":
                yield from _substituted(path, argument)


def _substituted(path: str, argument: Json) -> Iterator[tuple[str, str]]:
    given = argument if isinstance(argument, list) else [argument]
    own = set(given[1]) if len(given) > 1 and isinstance(given[1], Mapping) else set()
    text = given[0] if given and isinstance(given[0], str) else ""
    for found in _SUBSTITUTED.finditer(text):
        # A colon apart from AWS's double ones is a policy variable: ${iot:...}.
        if found[1] not in own and not re.search(r"(?<!:):(?!:)", found[1]):
            yield path, found[1]


def _functions(template: Template) -> Iterator[tuple[str, str]]:
    for section in ("Mappings", "Resources", "DeviceConfiguration"):
        for path, name, _ in _calls(*template.section(section)):
            yield path, name


def _calls(path: str, value: Json) -> Iterator[tuple[str, str, Json]]:
    """Yield path, name and argument of each Ref or function in ``value``, at any depth."""
    for name, inner, each in members(value, path):
        if name == "Ref" or name.startswith("Fn::"):
            yield path, name, each
        yield from _calls(inner, each)
    if isinstance(value, list):
        for inner, each in elements(value, path):
            yield from _calls(inner, each)


def _no_source(template: Template, context: Context, name: str) -> str:
    """Say why nothing gives the parameter a value; "" if something does, or nobody can tell."""
    if name == CERTIFICATE_ID:
        return ""
    if _is_subject_field(name):
        if template.flavour is not Flavour.JUST_IN_TIME or context.settings is None:
            return ""
        field = _SUBJECT_FIELDS.get(name.removeprefix(PSEUDO))
        if field in context.settings.subject:
            return ""
        return f"the certificates have no {field or name} in their subject"
    given = context.given_parameters
    if given is None or name in given:
        return ""
    return f"nobody gives {name} a value"


def _is_subject_field(name: str) -> bool:
    return name.startswith(PSEUDO) and name != CERTIFICATE_ID


def _is_call(value: Mapping[str, Json]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _found(template: Template, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, template.file, path, what)
