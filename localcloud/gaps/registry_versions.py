"""Versions that AWS counts: ``expectedVersion``, and five versions of a policy.

UpdateThing, UpdateThingGroup and DeleteThingGroup with another ``expectedVersion`` than that of the
record are a VersionConflictException, and the sixth version of a policy a
VersionsLimitExceededException (botocore model of each; service quotas). MiniStack takes them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from localcloud.gaps._support.rest import Response, body_of
from localcloud.seam import Seam

_MOST: Final = 5
_GROUP: Final = re.compile(r"/thing-groups/([^/]+)")

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

    _compare_groups(iot)
    iot["_update_thing"] = update_thing
    iot["_create_policy_version"] = create_policy_version


def _compare_groups(iot: Seam) -> None:
    others: Callable[..., Awaitable[Response]] = iot["_route_request"]

    async def route_request(
        method: str, path: str, headers: Payload, body: bytes, query: Payload
    ) -> Response:
        found = _GROUP.fullmatch(path) if method in {"PATCH", "DELETE"} else None
        group = iot["_thing_groups"].get(unquote(found[1])) if found else None
        expected = query.get("expectedVersion", body_of(body).get("expectedVersion"))
        expected = expected[0] if isinstance(expected, list) else expected
        if found and group and str(expected) not in {"None", "", str(group.get("version", 1))}:
            text = f"The version for thing group {found[1]} does not match the expected version."
            response: Response = iot["error_response_json"]("VersionConflictException", text, 409)
            return response
        return await others(method, path, headers, body, query)

    iot["_route_request"] = route_request
