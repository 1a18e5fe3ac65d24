"""Versions that AWS counts: a thing's ``expectedVersion``, and five versions of a policy.

UpdateThing with another ``expectedVersion`` than the thing's is a VersionConflictException, and
the sixth version of a policy a VersionsLimitExceededException (botocore model of both; service
quotas). MiniStack takes both.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam

_MOST: Final = 5

Payload = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still takes any ``expectedVersion``."""
    return "expectedVersion" not in iot["_update_thing"].__code__.co_consts


def close(iot: Seam) -> None:
    """Compare versions, and count them."""
    update: Callable[[str, Payload], Response] = iot["_update_thing"]
    create: Callable[[str, Payload, Payload], Response] = iot["_create_policy_version"]
    error: Callable[[str, str, int], Response] = iot["error_response_json"]

    def update_thing(name: str, payload: Payload) -> Response:
        thing, expected = iot["_things"].get(name), payload.get("expectedVersion")
        if thing is not None and expected not in {None, thing.get("version", 1)}:
            text = f"The version for thing {name} does not match the expected version."
            return error("VersionConflictException", text, 409)
        return update(name, payload)

    def create_policy_version(name: str, payload: Payload, query: Payload) -> Response:
        policy = iot["_policies"].get(name)
        if policy is not None and len(policy["versions"]) >= _MOST:
            text = f"The policy {name} already has the maximum number of versions ({_MOST})"
            return error("VersionsLimitExceededException", text, 409)
        return create(name, payload, query)

    iot["_update_thing"] = update_thing
    iot["_create_policy_version"] = create_policy_version
