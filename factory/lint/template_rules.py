"""What is looked for in a provisioning template's parameters, references and sections."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from device.config.template import PSEUDO_PREFIX
from device.identity.csr import FIELD_IN_TEMPLATE
from factory.lint.context import Context
from factory.lint.document import Json, elements, length, member, members
from factory.lint.finding import Finding, Rule, error, warning
from factory.lint.sources import TEMPLATES
from factory.lint.template import CERTIFICATE_ID, POLICY, Flavour, Template

TEMPLATE_TOO_LONG: Final = error(
    "template-too-long", "AWS takes 10240 characters", "AWS IoT API reference, templateBody",
    "Shorten it; move inline policies into separate policies.",
)  # fmt: skip
PARAMETER_TYPE: Final = error(
    "parameter-type", "String is the only type", TEMPLATES, 'Write {"Type": "String"}.'
)
PARAMETER_WITHOUT_SOURCE: Final = error(
    "parameter-without-source", "it has no value and no Default: provisioning fails for every "
    "device", TEMPLATES,
    "Set it (claim.parameters, or subject, in the device's settings), or give it a Default.",
)  # fmt: skip
PARAMETER_NOT_DECLARED: Final = warning(
    "parameter-not-declared", "the device sends it, but the template does not declare it",
    TEMPLATES,
    "Declare it under Parameters, or remove it from claim.parameters.",
)  # fmt: skip
PARAMETER_UNUSED: Final = warning(
    "parameter-unused", "it is not used, but provisioning fails if it is missing",
    TEMPLATES, "Use it, or remove it.",
)  # fmt: skip
UNKNOWN_REF: Final = error(
    "unknown-ref", 'AWS answers "Cannot resolve reference value", for every device', TEMPLATES,
    "Declare it under Parameters; that goes for AWS's pseudo parameters, too.",
)  # fmt: skip
AWS_PARAMETER: Final = error(
    "aws-parameter", "AWS::Region and the like are CloudFormation's; here only those that begin "
    "with AWS::IoT::Certificate:: are known", TEMPLATES,
    "Write the value out, or make it a parameter.",
)  # fmt: skip
PSEUDO_PARAMETER: Final = error(
    "pseudo-parameter", "AWS fills in the subject's fields for just-in-time provisioning only; "
    "for a fleet there is AWS::IoT::Certificate::Id", TEMPLATES,
    "Have the device send it as a parameter.",
)  # fmt: skip
UNKNOWN_FUNCTION: Final = error(
    "unknown-function", "AWS knows Ref, Fn::Join, Fn::Select, Fn::FindInMap, Fn::Split and Fn::Sub",
    TEMPLATES, "Use one of those.",
)  # fmt: skip
FUNCTION_NOT_HERE: Final = error(
    "function-not-here", "Mappings take neither parameters nor functions, and Policy resources no "
    "Fn::Join", TEMPLATES, "Use Fn::Sub in policies; write mappings out.",
)  # fmt: skip
FUNCTION_UNDOCUMENTED: Final = warning(
    "function-undocumented", "AWS documents functions for fleet provisioning templates; elsewhere "
    "only Ref is shown", TEMPLATES, "Use Ref, or try it in your account first.",
)  # fmt: skip
CONFIGURATION_NESTED: Final = error(
    "configuration-nested", "DeviceConfiguration is a flat map of strings", TEMPLATES,
    "Write a value that is JSON as a string.",
)  # fmt: skip
CONFIGURATION_NOT_SENT: Final = warning(
    "configuration-not-sent", "only fleet provisioning sends DeviceConfiguration to the device",
    TEMPLATES, "Remove it, or deliver it to the device in another way.",
)  # fmt: skip
HOOK_ON_JITP: Final = error(
    "hook-on-jitp", "pre-provisioning hooks are called for FLEET_PROVISIONING only",
    "AWS IoT API reference, CreateProvisioningTemplate",
    "Check the device in a rule's Lambda (just-in-time registration), or take the hook out.",
)  # fmt: skip

TemplateCheck: TypeAlias = Callable[[Template, Context], Iterator[Finding]]

LONGEST: Final = 10_240
_FUNCTIONS: Final = frozenset({"Fn::Join", "Fn::Select", "Fn::FindInMap", "Fn::Split", "Fn::Sub"})
_SUBSTITUTED: Final = re.compile(r"\$\{([^}!]+)\}")


def parameters(template: Template, context: Context) -> Iterator[Finding]:
    """Each parameter is a String, gets a value, and is used."""
    path, _ = template.section("Parameters")
    used = {name for _, name in references(template)}
    for name, declaration in template.parameters.items():
        inner = f"{path}.{name}"
        if member(declaration, "Type") != "String":
            yield _found(template, PARAMETER_TYPE, inner, f"{name} is not a String")
        if member(declaration, "Default") is None and (why := _no_source(template, context, name)):
            yield _found(template, PARAMETER_WITHOUT_SOURCE, inner, why)
        # One with a Default may be for a hook alone, and does no harm.
        if name not in used and member(declaration, "Default") is None:
            yield _found(template, PARAMETER_UNUSED, inner, f"{name} is not used")
    for name in sorted((context.given_parameters or frozenset()) - set(template.parameters)):
        yield _found(template, PARAMETER_NOT_DECLARED, path, f"{name} is not declared")


def known_references(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """What is referred to is declared, and AWS fills it in."""
    for path, name in references(template):
        if name.startswith("AWS::") and not name.startswith(PSEUDO_PREFIX):
            yield _found(template, AWS_PARAMETER, path, f"{name} is not a parameter here")
        elif name not in template.parameters and name != CERTIFICATE_ID:
            yield _found(template, UNKNOWN_REF, path, f"{name} is not declared")
        elif _is_subject_field(name) and template.flavour is not Flavour.JUST_IN_TIME:
            yield _found(template, PSEUDO_PARAMETER, path, f"{name} stays empty here")


def known_functions(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """Functions are AWS's, and where AWS takes them."""
    mappings, _ = template.section("Mappings")
    policies = tuple(path for path, _ in template.resources(POLICY))
    for path, name in _functions(template):
        if path.startswith(mappings):
            yield _found(template, FUNCTION_NOT_HERE, path, f"{name} in Mappings")
        elif name not in {*_FUNCTIONS, "Ref"}:
            yield _found(template, UNKNOWN_FUNCTION, path, f"there is no {name}")
        elif name == "Fn::Join" and path.startswith(policies):
            yield _found(template, FUNCTION_NOT_HERE, path, f"{name} in a Policy resource")
        elif name != "Ref" and template.flavour is not Flavour.FLEET:
            yield _found(template, FUNCTION_UNDOCUMENTED, path, f"{name} is used")


def configuration(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """DeviceConfiguration is flat, and in a template whose devices get it."""
    path, section = template.section("DeviceConfiguration")
    if section is not None and template.flavour is not Flavour.FLEET:
        yield _found(template, CONFIGURATION_NOT_SENT, path, "the device never gets it")
    for name, inner, value in members(section, path):
        if isinstance(value, list) or (isinstance(value, Mapping) and not _is_call(value)):
            yield _found(template, CONFIGURATION_NESTED, inner, f"{name} is not a string")


def size(template: Template, context: Context) -> Iterator[Finding]:  # noqa: ARG001
    """The template is not longer than AWS takes."""
    if (characters := length(template.document.content)) > LONGEST:
        what = f"it has {characters} characters"
        yield _found(template, TEMPLATE_TOO_LONG, template.path, what)


TEMPLATE_CHECKS: Final[tuple[TemplateCheck, ...]] = (
    parameters, known_references, known_functions, configuration, size,
)  # fmt: skip


def references(template: Template) -> Iterator[tuple[str, str]]:
    """Yield path and name of each parameter that is referred to, by Ref or in Fn::Sub."""
    for section in ("Resources", "DeviceConfiguration"):
        yield from referred(*template.section(section))


def referred(path: str, value: Json) -> Iterator[tuple[str, str]]:
    """Yield the same for what ``value``, at ``path``, refers to."""
    for inner, name, argument in _calls(path, value):
        if name == "Ref" and isinstance(argument, str):
            yield inner, argument
        elif name == "Fn::Sub":
            yield from _substituted(inner, argument)


def _substituted(path: str, argument: Json) -> Iterator[tuple[str, str]]:
    given = argument if isinstance(argument, list) else [argument]
    own = set(given[1]) if len(given) > 1 and isinstance(given[1], Mapping) else set()
    text = given[0] if given and isinstance(given[0], str) else ""
    for found in _SUBSTITUTED.finditer(text):
        # A policy variable is no parameter: in Fn::Sub it is written ${!iot:...}.
        if found[1] not in own:
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
        field = FIELD_IN_TEMPLATE.get(name.removeprefix(PSEUDO_PREFIX))
        if field in context.settings.subject:
            return ""
        return f"the certificates have no {field or name} in their subject"
    given = context.given_parameters
    if given is None or name in given:
        return ""
    return f"{name} gets no value"


def _is_subject_field(name: str) -> bool:
    return name.startswith(PSEUDO_PREFIX) and name != CERTIFICATE_ID


def _is_call(value: Mapping[str, Json]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::"))


def _found(template: Template, rule: Rule, path: str, what: str) -> Finding:
    return Finding(rule, template.file, path, what)
