"""Looks at documents with every rule that goes with their kind."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from factory.account.documents import parse_json
from factory.lint.context import Context
from factory.lint.document import Document, Kind, kind_of, length, member
from factory.lint.finding import MALFORMED, Finding
from factory.lint.policy_rules import FOR_IAM, FOR_IOT, FOR_TRUST, Check
from factory.lint.resource_rules import RESOURCE_CHECKS, inline_policies
from factory.lint.template import Flavour, Template, read_template
from factory.lint.template_rules import HOOK_ON_JITP, LONGEST, TEMPLATE_CHECKS, TEMPLATE_TOO_LONG
from factory.lint.template_shape import SHAPE_CHECKS
from factory.lint.template_values import VALUE_CHECKS
from factory.lint.topic_rules import TOPIC_CHECKS


def lint(document: Document, context: Context) -> list[Finding]:
    """Return what is wrong in ``document``, in the order of the rules."""
    match document.kind:
        case Kind.IOT_POLICY:
            found = _checked(document, context, (*FOR_IOT, *TOPIC_CHECKS))
        case Kind.IAM_POLICY:
            found = _checked(document, context, FOR_IAM)
        case Kind.TRUST_POLICY:
            found = _checked(document, context, FOR_TRUST)
        case Kind.TEMPLATE:
            found = _template(_as_used(read_template(document), context), context)
        case Kind.REQUEST:
            found = _request(document, context)
        case Kind.UNKNOWN:
            found = iter([_malformed(document, f"it is {document.kind}")])
    return list(found)


def _checked(document: Document, context: Context, checks: Sequence[Check]) -> Iterator[Finding]:
    for check in checks:
        yield from check(document, context)


def _template(template: Template, context: Context) -> Iterator[Finding]:
    for check in (*SHAPE_CHECKS, *VALUE_CHECKS, *TEMPLATE_CHECKS, *RESOURCE_CHECKS):
        yield from check(template, context)
    for policy in inline_policies(template):
        yield from lint(policy, context)


def _request(document: Document, context: Context) -> Iterator[Finding]:
    """Look at the input of CreateProvisioningTemplate, as ``--cli-input-json`` takes it."""
    body = _body(document)
    if kind_of(body.content) is not Kind.TEMPLATE:
        yield _malformed(body, "it is not a template")
        return
    written = member(document.content, "templateBody")
    if isinstance(written, str) and len(written) > LONGEST >= length(body.content):
        what = f"it has {len(written)} characters, with its white space"
        yield Finding(TEMPLATE_TOO_LONG, document.file, body.path, what)
    kind = member(document.content, "type")
    if kind is not None and kind not in {Flavour.FLEET.value, Flavour.JUST_IN_TIME.value}:
        yield Finding(MALFORMED, document.file, f"{document.path}.type", f"the type is {kind}")
    is_just_in_time = kind == Flavour.JUST_IN_TIME.value
    # What has no type is for a fleet: CreateProvisioningTemplate's default.
    flavour = Flavour.JUST_IN_TIME if is_just_in_time else Flavour.FLEET
    if is_just_in_time and member(document.content, "preProvisioningHook"):
        path = f"{document.path}.preProvisioningHook"
        yield Finding(HOOK_ON_JITP, document.file, path, "a hook on a JITP template")
    yield from _template(Template(body, flavour), context)


def _as_used(template: Template, context: Context) -> Template:
    """Return ``template`` as the method uses it; what a file that stands alone uses tells."""
    if context.is_by_claim:
        return replace(template, flavour=Flavour.FLEET)
    if context.is_by_registration:
        return replace(template, flavour=Flavour.REGISTRATION)
    if context.is_just_in_time:
        return replace(template, flavour=Flavour.JUST_IN_TIME)
    return template


def _body(document: Document) -> Document:
    content = member(document.content, "templateBody")
    if isinstance(content, str):
        try:
            content = parse_json(content)
        except (ValueError, RecursionError):
            content = None
    return Document(document.file, content, Kind.TEMPLATE, f"{document.path}.templateBody")


def _malformed(document: Document, what: str) -> Finding:
    return Finding(MALFORMED, document.file, document.path, what)
