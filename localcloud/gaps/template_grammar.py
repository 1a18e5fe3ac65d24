"""Provisioning templates mean what the developer guide says, wherever they are used.

MiniStack's own evaluation is right about Ref and the functions, parameters and their defaults,
and the thing's OverrideSettings. It lacks (developer guide, "Provisioning templates";
docs/aws-iot-facts.md, 3.1 to 3.4):

- ``Fn::Join`` is not supported in Policy resources;
- Mappings hold neither parameters nor functions, DeviceConfiguration does not nest, and the only
  parameter type is String;
- a Policy resource has PolicyName or PolicyDocument, not both; and that document is a policy;
- the properties of the Certificate resource: where the certificate comes from, Status,
  ThingPrincipalType, OverrideSettings;
- a template has 10,240 characters at most;
- what kind of value each property takes (``template_values``), and that there is one thing.

Where AWS notices the first three is not published: here they are refused when the template is
made, and in any case when it is applied.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from localcloud.gaps._support.template_values import value_error
from localcloud.gaps.policy_grammar import policy_error
from localcloud.seam import Seam

CERTIFICATE: Final = "AWS::IoT::Certificate"
POLICY: Final = "AWS::IoT::Policy"
THING: Final = "AWS::IoT::Thing"
_JOIN: Final = "Fn::Join"
_LONGEST: Final = 10_240  # characters

Body = Mapping[str, Any]
Plan = dict[str, Any]
"""MiniStack's plan, and under ``certificate`` the resolved properties and the OverrideSettings."""


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still joins strings inside a policy."""
    policy = {"PolicyName": {_JOIN: ["-", ["a", "b"]]}}
    body = {"Resources": {"policy": {"Type": POLICY, "Properties": policy}}}
    plan: Plan = iot["_provisioning_plan"](template_record("", body), {}, "")
    return bool(plan["policies"] == [("a-b", None)] and "certificate" not in plan)


def close(iot: Seam) -> None:
    """Refuse what the grammar does not know; evaluate the Certificate resource, too."""
    evaluate: Callable[[Body, Body, str], Plan] = iot["_provisioning_plan"]
    refuse_body: Callable[[object], object] = iot["_validate_provisioning_template_body"]
    rejected: Callable[[str, str], Exception] = iot["_ProvisioningRejected"]

    def provisioning_plan(template: Body, parameters: Body, certificate_id: str) -> Plan:
        body = _parsed(iot["_provisioning_template_body"](template))
        reason = grammar_error(body)
        if reason:
            raise rejected("InvalidTemplate", f"Template {template['templateName']}: {reason}")
        plan = evaluate(template, parameters, certificate_id)
        _drop_empty_groups(plan)
        for _name, resource in resources(body, CERTIFICATE):
            probe = template_record("", _as_thing(body, resource.get("Properties") or {}))
            properties, _overrides = evaluate(probe, parameters, certificate_id)["thing"]
            plan["certificate"] = (properties, resource.get("OverrideSettings") or {})
        return plan

    def validate_body(body: object) -> object:
        refused = refuse_body(body)
        reason = None if refused else length_error(body) or grammar_error(_parsed(body))
        if reason:
            message = f"The template body is invalid: {reason}"
            return iot["error_response_json"]("InvalidRequestException", message, 400)
        return refused

    iot["_provisioning_plan"] = provisioning_plan
    iot["_validate_provisioning_template_body"] = validate_body


def _drop_empty_groups(plan: Plan) -> None:
    """Let a thing whose parameter for a group is "" be in none.

    AWS's bulk sample (connected devices deep dive) counts on it; AWS does not say so.
    """
    if plan["thing"] and plan["thing"][0].get("ThingGroups"):
        properties, overrides = plan["thing"]
        groups = [group for group in properties["ThingGroups"] if group != ""]
        plan["thing"] = ({**properties, "ThingGroups": groups}, overrides)


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
    if _uses(properties, _JOIN):
        return f"{_JOIN} is not supported in Policy resource {name}."
    document = properties.get("PolicyDocument")
    if isinstance(document, str) and (error := policy_error(document)):
        return f"PolicyDocument of Policy resource {name} is not a policy: {error}"
    return None


def _section(body: Body, name: str) -> Body:
    section = body.get(name)
    return section if isinstance(section, dict) else {}


def _parsed(body: object) -> Body:
    document = json.loads(body) if isinstance(body, str) else body
    return document if isinstance(document, dict) else {}


def _as_thing(body: Body, properties: Body) -> Body:
    # MiniStack resolves the properties of a thing and of nothing else that it hands out.
    return {**body, "Resources": {"": {"Type": THING, "Properties": properties}}}


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
