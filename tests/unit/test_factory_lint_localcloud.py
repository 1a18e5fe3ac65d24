"""Linter and local AWS say the same of a template: where they differ, one of them is wrong."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from ministack.core.responses import request_scope
from ministack.services import iot as ministack_iot

from factory.lint.context import Context
from factory.lint.document import Document, Kind
from factory.lint.finding import Severity
from factory.lint.linter import lint
from factory.lint.rules import RULES
from localcloud.gaps._support.template import grammar_error, length_error, template_record
from localcloud.seam import Seam
from tests.unit.test_factory_lint import BAD, GOOD

ID: Final = "AWS::IoT::Certificate::Id"
NOT_GRAMMAR: Final = frozenset({
    # AWS takes it, and a device cannot live with it.
    "no-policy", "parameter-unused", "parameter-without-source", "thing-name-shared",
    "too-many-policies",
    # The local AWS looks at it when a thing is made of it.
    "attribute-text", "thing-name", "too-many-attributes",
})  # fmt: skip
"""Rules about more than what a template may say; those of policies are added below."""
OF_POLICIES: Final = frozenset({
    "wildcard-action", "wildcard-resource", "wildcard-topic", "open-end", "client-id-alone",
    "not-element", "policy-version", "arn",
})  # fmt: skip


def refused_by_lint(body: Mapping[str, Any]) -> list[str]:
    findings = lint(Document("t.json", body, Kind.TEMPLATE), Context())
    errors = [each for each in findings if each.rule.severity is Severity.ERROR]
    return [
        f"{each.rule.id}: {each.path}: {each.what}" for each in errors
        if each.rule.id not in NOT_GRAMMAR | OF_POLICIES and not is_missing_thing(each.what)
    ]  # fmt: skip


def is_missing_thing(what: str) -> bool:
    """AWS takes a template without a thing."""
    return what == "it has no AWS::IoT::Thing"


def refused_by_local_aws(body: Mapping[str, Any]) -> str | None:
    """Return why the local AWS would not make the template, or would provision nobody with it."""
    iot, text = Seam(ministack_iot), json.dumps(body, separators=(",", ":"))
    with request_scope("123456789012", "eu-central-1"):
        answer = iot["_validate_provisioning_template_body"](text)
    if answer:
        return str(answer)
    if reason := length_error(text) or grammar_error(body):
        return reason
    given = dict.fromkeys(body.get("Parameters") or {}, "1")  # JSON, too
    try:
        iot["_provisioning_plan"](template_record("t", body), given, "c0ffee")
    except iot["_ProvisioningRejected"] as error:
        return repr(error)
    return None


def is_stored(content: object) -> bool:
    """Whether AWS would keep such a template; those of bulk and single thing it never does."""
    return (
        isinstance(content, dict)
        and "Resources" in content
        and "CertificateSigningRequest" not in str(content)
    )


TABLE: Final[list[Any]] = [
    *(content for _, _, content in BAD if is_stored(content)),
    *(content for _, content in GOOD if is_stored(content)),
]


@pytest.mark.parametrize("body", TABLE)
def test_they_say_the_same(body: Mapping[str, Any]) -> None:
    ours, theirs = refused_by_lint(body), refused_by_local_aws(body)
    assert bool(ours) == bool(theirs), (ours, theirs)


def test_the_table_has_both_kinds() -> None:
    verdicts = [refused_by_local_aws(body) is not None for body in TABLE]
    assert verdicts.count(True) > 40
    assert verdicts.count(False) > 10


def test_what_is_left_out_are_rules() -> None:
    assert RULES.keys() >= NOT_GRAMMAR | OF_POLICIES
