"""The input and the reports of a bulk registration: objects in S3; part of `registration_tasks`.

The reports are in a bucket of the service's, one a Region, as on AWS: the caller's account does not
see the bucket, and gets URLs that are signed and good for an hour. A line of RESULTS has the
certificate and the ARNs (``aws-samples/aws-iot-device-management-workshop``, bin/bulk-result.py,
reads it).
What a line of ERRORS looks like is not published: its members here are ours.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from ministack.services import s3 as ministack_s3

from localcloud.seam import Seam

_SERVICE_ACCOUNT: Final = "963963963963"  # no user's: its root key opens the reports
_LINK_SECONDS: Final = 3600

Line = Mapping[str, Any]


def read_input(bucket: str, key: str) -> bytes | None:
    """Return the object of the caller's account, or None if there is none."""
    content: bytes | None = Seam(ministack_s3)["_get_object_data"](bucket, key)
    return content


def write_report(iot: Seam, task_id: str, report_type: str, lines: Iterable[Line]) -> None:
    """Store a report, one JSON object a line."""
    body = "".join(json.dumps(line) + "\n" for line in lines).encode()
    s3 = Seam(ministack_s3)
    with iot["request_scope"](_SERVICE_ACCOUNT, iot["get_region"]()):
        bucket = _bucket(iot)
        if s3["_ensure_bucket"](bucket) is None:
            s3["_create_bucket"](bucket, b"", {})
        s3["_put_object"](bucket, _key(task_id, report_type), body, {})


def report_links(iot: Seam, task_id: str, report_type: str) -> Sequence[str]:
    """Return signed URLs of a report: one, or none if it was not written."""
    name, key = _bucket(iot), _key(task_id, report_type)
    with iot["request_scope"](_SERVICE_ACCOUNT, iot["get_region"]()):
        bucket = Seam(ministack_s3)["_ensure_bucket"](name)
    if bucket is None or key not in bucket["objects"]:
        return []
    request = AWSRequest(method="GET", url=f"{os.environ['AWS_ENDPOINT_URL']}/{name}/{key}")
    root = Credentials(_SERVICE_ACCOUNT, os.environ["AWS_SECRET_ACCESS_KEY"])
    S3SigV4QueryAuth(root, "s3", iot["get_region"](), expires=_LINK_SECONDS).add_auth(request)
    return [request.url]


def _bucket(iot: Seam) -> str:
    # S3 answers 301 to a request that is signed for another Region than the bucket's.
    return f"aws-iot-thing-registration-reports-{iot['get_region']()}"


def _key(task_id: str, report_type: str) -> str:
    return f"{task_id}/{report_type.lower()}.json"
