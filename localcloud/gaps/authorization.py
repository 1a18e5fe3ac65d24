"""TestAuthorization and GetEffectivePolicies: what a certificate may do, and why not.

Developer guide, "Authorization"; botocore model. An answer names the policies that allow or deny,
and ``IMPLICIT_DENY`` when none says anything. Policies attached to a thing group count when
``thingName`` is given (GetEffectivePolicies), or if ``clientId`` is the thing's name
(TestAuthorization), as they do for a device that is connected. Variables are those that a
connection with the given ``clientId`` would have. A principal is a certificate's
ARN; Cognito identities are not served.
"""

from collections.abc import Mapping
from typing import Any, Final

from localcloud.broker.policies import Policies, Principal, decide, document_of
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
    registry = Policies(iot)

    async def test_authorization(request: Request) -> Answer:
        certificate = _certificate(iot, request.body.get("principal"))
        place = (iot["get_account_id"](), iot["get_region"]())
        client_id = request.query.get("clientId", "")
        asker = registry.principal(place, certificate["certificateId"], client_id, None)
        attached = registry.names(place, asker.certificate_id, asker.thing_name())
        policies = _chosen(iot, attached, request.body)
        infos = _auth_infos(request.body.get("authInfos"))
        return {"authResults": [_decide(asker, policies, info) for info in infos]}

    async def get_effective_policies(request: Request) -> Answer:
        certificate = _certificate(iot, request.body.get("principal"))
        thing_name = request.query.get("thingName")
        if thing_name and thing_name not in iot["_things"]:
            text = f"The thing {thing_name} does not exist"
            raise RefusedError("ResourceNotFoundException", text, 404)
        place = (iot["get_account_id"](), iot["get_region"]())
        names = registry.names(place, certificate["certificateId"], thing_name)
        return {"effectivePolicies": [_described(_policy(iot, name)) for name in names]}

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


def _chosen(iot: Seam, attached: list[str], body: Mapping[str, Any]) -> list[Policy]:
    skipped = body.get("policyNamesToSkip") or []
    names = [name for name in attached if name not in skipped]
    return [_policy(iot, name) for name in [*names, *(body.get("policyNamesToAdd") or [])]]


def _policy(iot: Seam, name: str) -> Policy:
    policy: Policy | None = iot["_policies"].get(name)
    if policy is None:
        raise RefusedError("ResourceNotFoundException", f"The policy {name} does not exist", 404)
    return {**policy, "policyName": name}


def _decide(asker: Principal, policies: list[Policy], info: Mapping[str, Any]) -> Answer:
    """Judge every resource; one that is not allowed is the answer for all."""
    action = _ACTIONS[info["actionType"]]
    allowed: list[Policy] = []
    denied: list[Policy] = []
    implicit = False
    for resource in info["resources"]:
        decisions = [
            (policy, decide(asker, action, resource, [document_of(policy)])) for policy in policies
        ]
        denied += [policy for policy, decision in decisions if decision == "Deny"]
        allows = [policy for policy, decision in decisions if decision == "Allow"]
        allowed += [policy for policy in allows if policy not in allowed]
        implicit = implicit or not allows
    if denied:
        return _answer(info, "EXPLICIT_DENY", allowed, explicit=denied)
    if implicit:
        return _answer(info, "IMPLICIT_DENY", allowed, implicit=policies)
    return _answer(info, "ALLOWED", allowed)


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
    return {**_named(policy), "policyDocument": document_of(policy)}
