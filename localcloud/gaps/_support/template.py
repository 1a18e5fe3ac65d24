"""A provisioning template as its grammar has it, and what MiniStack makes of one: a plan."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from localcloud.gaps._support.policy_document import policy_error
from localcloud.gaps._support.template_values import value_error

CERTIFICATE: Final = "AWS::IoT::Certificate"
POLICY: Final = "AWS::IoT::Policy"
THING: Final = "AWS::IoT::Thing"
JOIN: Final = "Fn::Join"
_LONGEST: Final = 10_240  # characters

Body = Mapping[str, Any]
Plan = dict[str, Any]
"""MiniStack's plan, and under ``certificate`` the resolved properties and the OverrideSettings."""


def template_record(name: str, body: Body) -> Body:
    """Return ``body`` as MiniStack keeps a template of its own: what its evaluation takes."""
    versions = {"1": {"versionId": 1, "templateBody": body}}
    return {"templateName": name, "defaultVersionId": 1, "versions": versions}


def resources(body: Body, kind: str) -> Iterator[tuple[str, Body]]:
    """Yield the logical name and the resource of each resource of one type."""
    declared = body.get("Resources")
    for name, resource in declared.items() if isinstance(declared, dict) else ():
        if isinstance(resource, dict) and resource.get("Type") == kind:
            yield name, resource


def thing_properties(plan: Plan) -> Body:
    """Return the resolved properties of the plan's Thing resource; none if it has no such."""
    properties: Body = plan["thing"][0] if plan["thing"] else {}
    return properties


def certificate_properties(plan: Plan) -> Body:
    """Return the resolved properties of the plan's Certificate resource; none if there is none."""
    properties: Body = plan["certificate"][0] if "certificate" in plan else {}
    return properties


def length_error(text: object) -> str | None:
    """Say that a template is longer than AWS takes it, if it is (botocore model, templateBody)."""
    if isinstance(text, str) and len(text) > _LONGEST:
        return f"templateBody must have length less than or equal to {_LONGEST}"
    return None


def grammar_error(body: Body) -> str | None:
    """Say what in ``body`` the grammar does not allow, if anything."""
    for name, spec in _section(body, "Parameters").items():
        if not isinstance(spec, dict) or spec.get("Type") != "String":
            return f"Parameter {name} must be of Type String."
    if _uses(body.get("Mappings"), "Ref", "Fn::"):
        return "Mappings cannot include parameters or intrinsic functions."
    if any(_nests(value) for value in _section(body, "DeviceConfiguration").values()):
        return "DeviceConfiguration does not support nested objects."
    policies = (_policy_error(*found) for found in resources(body, POLICY))
    return next(filter(None, policies), None) or value_error(body)


def _policy_error(name: str, resource: Body) -> str | None:
    properties = _section(resource, "Properties")
    if _uses(properties, JOIN):
        return f"{JOIN} is not supported in Policy resource {name}."
    document = properties.get("PolicyDocument")
    if isinstance(document, str) and (error := policy_error(document)):
        return f"PolicyDocument of Policy resource {name} is not a policy: {error}"
    return None


def _section(body: Body, name: str) -> Body:
    section = body.get(name)
    return section if isinstance(section, dict) else {}


def _uses(value: object, *prefixes: str) -> bool:
    """Whether a key that starts with one of ``prefixes`` stands anywhere in ``value``."""
    if isinstance(value, list):
        return any(_uses(item, *prefixes) for item in value)
    if not isinstance(value, dict):
        return False
    return any(
        name.startswith(prefixes) or _uses(found, *prefixes) for name, found in value.items()
    )


def _nests(value: object) -> bool:
    """Whether a DeviceConfiguration value is an object or list, and not a function."""
    if isinstance(value, dict):
        return not (len(value) == 1 and next(iter(value)).startswith(("Ref", "Fn::")))
    return isinstance(value, list)
