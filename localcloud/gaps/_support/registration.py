"""What RegisterThing does, for every caller: a template and parameters become registered things.

AWS runs one workflow for RegisterThing over REST, for each line of a bulk registration and for
just-in-time provisioning (developer guide, "Just-in-time provisioning": AWS IoT "uses it to call
RegisterThing"). MiniStack has the second half of it, for the templates of fleet provisioning:
evaluating the template and applying the plan. This module adds the first half, the certificate:
made for a CSR, looked up by its id, or registered from its PEM. A request that is refused leaves
nothing behind.

Where AWS says nothing, we chose: a parameter without a value is an error here (the developer
guide says that it "is not replaced with a value", which no property takes), and without
OverrideSettings the template's Status is applied to a certificate that exists.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from localcloud.gaps._support.registered_certificate import (
    Certificate,
    find_certificate,
    workflow_failed,
)
from localcloud.gaps._support.rest import RefusedError, arn_of, invalid_template
from localcloud.gaps._support.template import (
    CERTIFICATE,
    POLICY,
    THING,
    Body,
    Plan,
    certificate_properties,
    grammar_error,
    length_error,
    resources,
    template_record,
)
from localcloud.seam import Seam

THE_CALLER: Final = "localcloud:the-caller"
"""In place of a role: the caller of RegisterThing may do what the template asks."""
CERTIFICATE_ID: Final = "AWS::IoT::Certificate::Id"
_LONGEST_NAME: Final = 2048  # characters, botocore model
_LONGEST_VALUE: Final = 4096
_PENDING: Final = "PENDING_ACTIVATION"
_RELAYED: Final = " (Service: AWSIot"  # from here on MiniStack's text is for MQTT only
_ERRORS: Final = {
    "InvalidTemplate": ("InvalidRequestException", 400),
    "InvalidParameters": ("InvalidRequestException", 400),
    "ProvisioningFailed": ("ResourceRegistrationFailureException", 400),
    "AccessDenied": ("UnauthorizedException", 401),
}  # what a device is told over MQTT -> botocore model of RegisterThing

Parameters = Mapping[str, str]


@dataclass(frozen=True)
class Registered:
    """What RegisterThing answers: the certificate's PEM, and an ARN a logical name."""

    certificate_pem: str
    resource_arns: Mapping[str, str]


def trust_the_caller(iot: Seam) -> None:
    """Let `THE_CALLER` stand for a role that may do everything."""
    allows: Callable[..., bool] = iot["_provisioning_role_allows"]

    def role_allows(role_arn: str, requests: list[tuple[str, str]]) -> bool:
        return role_arn == THE_CALLER or allows(role_arn, requests)

    iot["_provisioning_role_allows"] = role_allows


def parse_template(text: object) -> Body:
    """Return the body of a template that is sent along with a request.

    Raises:
        RefusedError: it is not a JSON object, or breaks the grammar; the words are AWS's where
            they are known (boto3 issue 2903, docs/aws-iot-facts.md 1.1).
    """
    try:
        body = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        reason = f"Template format error: JSON not well-formed with location of [{error}]"
        raise invalid_template(reason) from error
    if not isinstance(body, dict):
        raise invalid_template("Template format error: it is not a JSON object")
    error_found = length_error(text) or grammar_error(body) or next(_policy_errors(body), None)
    if error_found:
        raise invalid_template(error_found)
    return body


def check_parameters(given: object) -> Parameters:
    """Return the parameters of a request.

    Raises:
        RefusedError: they are no map of strings, or one is too long.
    """
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise RefusedError("InvalidRequestException", "parameters must be a map of strings")
    for name, value in given.items():
        if not isinstance(value, str):
            raise RefusedError("InvalidRequestException", f"parameter {name} must be a string")
        if len(name) > _LONGEST_NAME or len(value) > _LONGEST_VALUE:
            raise RefusedError("InvalidRequestException", f"parameter {name[:80]} is too long")
    return given


async def register_thing(
    iot: Seam, body: Body, parameters: Parameters, role_arn: str
) -> Registered:
    """Make or find the certificate that ``body`` names, then register everything.

    Raises:
        RefusedError: AWS's error; nothing was changed.
    """
    plan = _plan(iot, body, parameters, parameters.get(CERTIFICATE_ID, ""))
    certificate = await find_certificate(iot, certificate_properties(plan), role_arn)
    return await provision(iot, body, parameters, certificate, role_arn)


async def provision(
    iot: Seam, body: Body, parameters: Parameters, certificate: Certificate, role_arn: str
) -> Registered:
    """Apply ``body`` to ``certificate``: thing, policies, attachments, and last its status.

    Raises:
        RefusedError: AWS's error; nothing was changed.
    """
    plan = _plan(iot, body, parameters, certificate["certificateId"])
    plan["status"] = _status(iot, plan, certificate)
    with _rest_errors(iot):
        thing = await iot["_apply_provisioning_plan"](plan, certificate, role_arn)
    arns = {name: certificate["certificateArn"] for name, _found in resources(body, CERTIFICATE)}
    arns |= {name: arn_of(iot, f"thing/{thing}") for name, _found in resources(body, THING)}
    policies = zip(resources(body, POLICY), plan["policies"], strict=True)
    arns |= {found[0]: arn_of(iot, f"policy/{policy}") for found, (policy, _document) in policies}
    return Registered(certificate["certificatePem"], arns)


def _policy_errors(body: Body) -> Iterator[str]:
    for _name, resource in resources(body, POLICY):
        properties = resource.get("Properties") or {}
        if not properties.get("PolicyName") and not properties.get("PolicyDocument"):
            yield "Neither policyName nor policyDocument is present in the Template."


def _plan(iot: Seam, body: Body, parameters: Parameters, certificate_id: str) -> Plan:
    template = template_record("in the request", body)
    with _rest_errors(iot):
        plan: Plan = iot["_provisioning_plan"](template, parameters, certificate_id)
    return plan


@contextmanager
def _rest_errors(iot: Seam) -> Iterator[None]:
    """Turn what would be told to a device over MQTT into the error of the REST API."""
    try:
        yield
    except iot["_ProvisioningRejected"] as rejected:
        _kind, reply = rejected.reply
        code, status = _ERRORS[reply["errorCode"]]
        raise RefusedError(code, reply["errorMessage"].partition(_RELAYED)[0], status) from rejected


def _status(iot: Seam, plan: Plan, certificate: Certificate) -> str:
    """Return the status that the certificate is to have: a new one's is the template's."""
    wanted: str = plan["status"]
    current: str = certificate["status"]
    if certificate["certificateId"] not in iot["_certificates"] or current == _PENDING:
        return wanted
    match plan["certificate"][1].get("Status"):
        case "DO_NOTHING":
            return current
        case "FAIL" if wanted != current:
            raise workflow_failed(
                f"Existing Status: {current} conflicts with Status: {wanted} in Template."
            )
    return wanted
