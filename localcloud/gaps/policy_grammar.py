"""A policy that is none is refused when it is made, as a MalformedPolicyException.

MiniStack takes any JSON as a policy document, and then allows nothing by it. AWS reads the document
first (botocore model, CreatePolicy and CreatePolicyVersion).
"""

from collections.abc import Callable, Mapping
from typing import Any

from localcloud.gaps._support.policy_document import policy_error
from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam

Payload = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still takes an object without statements."""
    name = "localcloud-probe"
    status: int = iot["_create_policy"](name, {"policyDocument": "{}"})[0]
    iot["_policies"].pop(name, None)
    return status == 200


def close(iot: Seam) -> None:
    """Read each document before it becomes a policy, or the next version of one."""
    create: Callable[[str, Payload], Response] = iot["_create_policy"]
    create_version: Callable[[str, Payload, Payload], Response] = iot["_create_policy_version"]

    def refused(payload: Payload) -> Response | None:
        document = payload.get("policyDocument")
        error = policy_error(document) if document else None
        if error is None:
            return None
        response: Response = iot["error_response_json"]("MalformedPolicyException", error, 400)
        return response

    def create_policy(name: str, payload: Payload) -> Response:
        return refused(payload) or create(name, payload)

    def create_policy_version(name: str, payload: Payload, query: Payload) -> Response:
        return refused(payload) or create_version(name, payload, query)

    iot["_create_policy"] = create_policy
    iot["_create_policy_version"] = create_policy_version
