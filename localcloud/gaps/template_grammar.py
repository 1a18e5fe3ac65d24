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
from collections.abc import Callable

from localcloud.gaps._support.template import (
    CERTIFICATE,
    JOIN,
    POLICY,
    THING,
    Body,
    Plan,
    grammar_error,
    length_error,
    resources,
    template_record,
)
from localcloud.seam import Seam


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still joins strings inside a policy."""
    policy = {"PolicyName": {JOIN: ["-", ["a", "b"]]}}
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


def _parsed(body: object) -> Body:
    document = json.loads(body) if isinstance(body, str) else body
    return document if isinstance(document, dict) else {}


def _as_thing(body: Body, properties: Body) -> Body:
    # MiniStack resolves the properties of a thing and of nothing else that it hands out.
    return {**body, "Resources": {"": {"Type": THING, "Properties": properties}}}
