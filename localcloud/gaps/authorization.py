"""TestAuthorization and GetEffectivePolicies: what a certificate may do, and why not.

Developer guide, "Authorization"; botocore model. An answer names the policies that allow or deny,
and ``IMPLICIT_DENY`` when none says anything. Policies attached to a thing group count when
``thingName`` is given (GetEffectivePolicies) as they do for a device that is connected. Variables
are those that a connection with the given ``clientId`` would have. A principal is a certificate's
ARN; Cognito identities are not served.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from localcloud.gaps._support.rest import Answer, RefusedError, Request, is_unserved, serve
from localcloud.seam import Seam

_ACTIONS: Final = {
    "CONNECT": "iot:Connect",
    "PUBLISH": "iot:Publish",
    "SUBSCRIBE": "iot:Subscribe",
    "RECEIVE": "iot:Receive",
}
_MOST: Final = 10  # authInfos in a request, botocore model

Policy = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know the paths."""
    return is_unserved(iot, "POST", "/test-authorization")


def close(iot: Seam) -> None:
    """Serve both operations."""

    async def test_authorization(request: Request) -> Answer:
        certificate = _certificate(iot, request.body.get("principal"))
        policies = _chosen(iot, certificate, request.body)
        client_id = request.query.get("clientId", "")
        place = (iot["get_account_id"](), iot["get_region"]())
        identity = certificate["certificateId"]
        context = iot["_mqtt_policy_context"](*place, identity, client_id)
        infos = _auth_infos(request.body.get("authInfos"))
        return {
            "authResults": [
                _decide(iot, place, identity, context, policies, info) for info in infos
            ]
        }

    async def get_effective_policies(request: Request) -> Answer:
        policies = list(_effective(iot, request))
        return {"effectivePolicies": [_described(policy) for policy in policies]}

    serve(
        iot,
        {
            "POST /test-authorization": test_authorization,
            "POST /effective-policies": get_effective_policies,
        },
    )


def _certificate(iot: Seam, principal: object) -> Mapping[str, Any]:
    name = principal if isinstance(principal, str) else ""
    found: Mapping[str, Any] | None = iot["_certificates"].get(name.rpartition("cert/")[2])
    if not name:
        raise RefusedError("InvalidRequestException", "principal, a certificate's ARN, is required")
    if found is None:
        text = f"The principal {name} does not exist"
        raise RefusedError("ResourceNotFoundException", text, 404)
    return found


def _auth_infos(given: object) -> list[Mapping[str, Any]]:
    if not isinstance(given, list) or not 0 < len(given) <= _MOST:
        raise RefusedError("InvalidRequestException", f"authInfos must have 1 to {_MOST} members")
    for info in given:
        if not info.get("resources"):
            raise RefusedError("InvalidRequestException", "resources is required in authInfos")
        if info.get("actionType") not in _ACTIONS:
            text = f"actionType must be one of {', '.join(_ACTIONS)}"
            raise RefusedError("InvalidRequestException", text)
    return given


def _chosen(iot: Seam, certificate: Mapping[str, Any], body: Mapping[str, Any]) -> list[Policy]:
    skipped = body.get("policyNamesToSkip") or []
    names = [name for name in certificate.get("attachedPolicies", []) if name not in skipped]
    return [_policy(iot, name) for name in [*names, *(body.get("policyNamesToAdd") or [])]]


def _policy(iot: Seam, name: str) -> Policy:
    policy: Policy | None = iot["_policies"].get(name)
    if policy is None:
        raise RefusedError("ResourceNotFoundException", f"The policy {name} does not exist", 404)
    return {**policy, "policyName": name}


def _document(policy: Policy) -> str:
    return str(policy["versions"][policy["defaultVersionId"]]["document"])


def _decide(  # noqa: PLR0913, PLR0917  (who, where, what)
    iot: Seam,
    place: tuple[str, str],
    certificate_id: str,
    context: Mapping[str, str],
    policies: list[Policy],
    info: Mapping[str, Any],
) -> Answer:
    """Judge every resource; one that is not allowed is the answer for all."""
    action = _ACTIONS[info["actionType"]]
    judge = _judge(iot, place, certificate_id, context, action)
    allowed: list[Policy] = []
    denied: list[Policy] = []
    implicit = False
    for resource in info["resources"]:
        decisions = [(policy, judge(policy, resource)) for policy in policies]
        denied += [policy for policy, decision in decisions if decision == "Deny"]
        allows = [policy for policy, decision in decisions if decision == "Allow"]
        allowed += [policy for policy in allows if policy not in allowed]
        implicit = implicit or not allows
    if denied:
        return _answer(info, "EXPLICIT_DENY", allowed, explicit=denied)
    if implicit:
        return _answer(info, "IMPLICIT_DENY", allowed, implicit=policies)
    return _answer(info, "ALLOWED", allowed)


def _judge(
    iot: Seam,
    place: tuple[str, str],
    certificate_id: str,
    context: Mapping[str, str],
    action: str,
) -> Callable[[Policy, str], str]:
    account, region = place

    def judge(policy: Policy, resource: str) -> str:
        question = iot["EvalContext"](
            principal_arn=f"arn:aws:iot:{region}:{account}:cert/{certificate_id}",
            principal_type="Certificate",
            principal_account=account,
            action=action,
            resource_arn=resource,
            region=region,
            service_context=context,
        )
        variables = tuple(sorted(context.items()))
        statements = iot["_parsed_iot_policy"](_document(policy), variables)
        return str(iot["evaluate"](question, [statements]).decision)

    return judge


def _answer(
    info: Mapping[str, Any],
    decision: str,
    allowed: list[Policy],
    implicit: list[Policy] | None = None,
    explicit: list[Policy] | None = None,
) -> Answer:
    return {
        "authInfo": dict(info),
        "authDecision": decision,
        "allowed": {"policies": [_named(policy) for policy in allowed]},
        "denied": {
            "implicitDeny": {"policies": [_named(policy) for policy in implicit or []]},
            "explicitDeny": {"policies": [_named(policy) for policy in explicit or []]},
        },
        "missingContextValues": [],
    }


def _named(policy: Policy) -> Answer:
    return {"policyName": policy["policyName"], "policyArn": policy["policyArn"]}


def _described(policy: Policy) -> Answer:
    return {**_named(policy), "policyDocument": _document(policy)}


def _effective(iot: Seam, request: Request) -> Iterator[Policy]:
    thing_name = request.query.get("thingName", "")
    if thing_name and thing_name not in iot["_things"]:
        text = f"The thing {thing_name} does not exist"
        raise RefusedError("ResourceNotFoundException", text, 404)
    targets = [_certificate(iot, request.body.get("principal"))]
    if thing_name:
        groups = iot["_thing_groups"].values()
        targets += [group for group in groups if thing_name in group.get("things", [])]
    seen: set[str] = set()
    for target in targets:
        for name in target.get("attachedPolicies", []):
            if name not in seen:
                seen.add(name)
                yield _policy(iot, name)
