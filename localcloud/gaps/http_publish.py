"""Publish over HTTP has the limits of an MQTT publish.

128 KB of payload (413, RequestEntityTooLargeException), and a topic of seven slashes at most
(AWS general reference, "AWS IoT Core quotas"; botocore model of Publish). MiniStack counts a
topic's bytes only.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import iot_data

from localcloud.broker.limits import payload_error, topic_error
from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam


def is_open(_iot: Seam) -> bool:
    """Whether MiniStack still takes any number of slashes."""
    refused: object = Seam(iot_data)["_validate_topic"]("1/2/3/4/5/6/7/8/9")
    return refused is None


def close(_iot: Seam) -> None:
    """Refuse what the broker refuses."""
    data = Seam(iot_data)
    publish: Callable[..., Awaitable[Response]] = data["_publish"]

    async def publish_within_limits(topic: str, body: bytes, *rest: Any) -> Response:
        error = payload_error(body or b"")
        refusal = ("RequestEntityTooLargeException", error, 413) if error else None
        error = topic_error(topic)
        if refusal is None and error:
            refusal = ("InvalidRequestException", error, 400)
        if refusal is None:
            return await publish(topic, body, *rest)
        response: Response = data["error_response_json"](*refusal)
        return response

    data["_publish"] = publish_within_limits
