"""AttachPolicy and DetachPolicy are allowed on what the policy is attached to.

An IAM policy names the target, a certificate or a thing group, as the resource of both (service
authorization reference, "Actions, resources, and condition keys for AWS IoT"; developer guide,
"IAM policies"), so a Lambda's role may be confined to ``cert/*``. MiniStack looks for a resource
in the path, which holds the policy's name, finds none, and so wants ``"Resource": "*"``.
"""

from collections.abc import Callable
from typing import Any, Final

from ministack.core import iam_actions

from localcloud.gaps._support.rest import body_of
from localcloud.seam import Seam

_PATH: Final = "target-policies"


def is_open(_iot: Seam) -> bool:
    """Whether MiniStack still finds no resource in the call."""
    body = b'{"target": "arn:aws:iot:us-east-1:000000000000:cert/0"}'
    extract: Callable[..., str] = Seam(iam_actions)["extract_resource_arn"]
    place = ("us-east-1", "000000000000")
    return extract("iot", "PUT", f"/{_PATH}/p", {}, body, {}, *place) == "*"


def close(_iot: Seam) -> None:
    """Take the resource from the call's body."""
    actions = Seam(iam_actions)
    extract: Callable[..., str] = actions["extract_resource_arn"]

    def extract_resource_arn(service: str, method: str, path: str, *rest: Any) -> str:
        if service == "iot" and path.lstrip("/").partition("/")[0] == _PATH:
            _headers, body, *_ = rest
            return _target(body)
        return extract(service, method, path, *rest)

    actions["extract_resource_arn"] = extract_resource_arn


def _target(body: bytes) -> str:
    target = body_of(body).get("target")
    return target if isinstance(target, str) else "*"  # the operation itself refuses it
