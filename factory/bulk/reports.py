"""What AWS says of each line when a task has ended: RESULTS and ERRORS, behind signed URLs.

AWS does not publish what a line looks like. A line of RESULTS is read as AWS's own samples do
(aws-samples/aws-iot-device-management-workshop, ``bin/bulk-result.py``); whose certificate it
is, is told by its key. In ERRORS the line's number and the words are looked for, and a line
that has neither is passed on as it is.
"""

import http.client
import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from factory.account.cloud import Cloud, names
from factory.errors import CLOUD_NOT_REACHABLE, CloudRejectedError

Download = Callable[[str], bytes]
"""Fetches what is behind a signed URL; the URL is a credential for as long as it lives."""

_SECONDS: Final = 60
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_LARGEST: Final = 256 * 1024 * 1024
"""Bytes of a report: a task has 10,000 lines at most, and a certificate below 2 KB."""
_S3: Final = re.compile(r"([a-z0-9.-]+\.)?s3[a-z0-9.-]*\.amazonaws\.com(\.cn)?", re.IGNORECASE)
_ACTION: Final = "ListThingRegistrationTaskReports"


def download(
    url: str, environment: Mapping[str, str] = os.environ, largest: int = _LARGEST
) -> bytes:
    """Return what is behind ``url``: over TLS from S3, or from the local AWS that is in use.

    Raises:
        CloudRejectedError: it is elsewhere, or the answer was no; a signed URL lives for some
            hours at most.
        CloudNotReachableError: nobody answered.
    """
    if not is_ours(url, environment):
        place = url.partition("?")[0]
        raise CloudRejectedError(_ACTION, "", f"refused to fetch a report from {place[:100]!r}")
    try:
        with _OPENER.open(url, timeout=_SECONDS) as answer:
            content: bytes = answer.read(largest + 1)
    except urllib.error.HTTPError as error:
        raise CloudRejectedError(
            _ACTION, str(error.code), "AWS did not provide a report"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise CLOUD_NOT_REACHABLE.error(
            f"a report of {_ACTION} could not be fetched: {error}"
        ) from error
    if len(content) > largest:
        raise CloudRejectedError(_ACTION, "", f"a report is longer than {largest} bytes")
    return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it could lead anywhere."""

    def redirect_request(self, *_: object) -> None:
        """Take the redirect as the answer, which is then no report."""


_OPENER: Final = urllib.request.build_opener(_NoRedirect)


def is_ours(url: str, environment: Mapping[str, str]) -> bool:
    """Tell whether ``url`` leads to S3 over TLS, or to the local AWS that is in use."""
    try:
        parts = urlsplit(url)
        place = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme == "https" and _S3.fullmatch(place[0]) and place[1] in {None, 443}:
        return True
    endpoints = (environment.get(name, "") for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"))
    return any(_is_same(parts, endpoint) for endpoint in endpoints if endpoint)


def _is_same(parts: SplitResult, endpoint: str) -> bool:
    """Tell whether a URL leads to ``endpoint``; the local AWS has several names on one port."""
    local = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or parts.port != local.port:
        return False
    names = {parts.hostname, local.hostname}
    return len(names) == 1 or names <= _LOOPBACK


def issued_certificates(cloud: Cloud, task_id: str, download: Download) -> Iterator[bytes]:
    """Yield the certificates (PEM) of the lines that succeeded."""
    for line in _lines(cloud, task_id, "RESULTS", download):
        result = _object(line)
        response = _object(result.get("response", result))
        pem = response.get("CertificatePem") or response.get("certificatePem")
        if isinstance(pem, str):
            yield pem.encode()


def refusals(
    cloud: Cloud, task_id: str, unanswered: Sequence[int], download: Download
) -> tuple[Mapping[int, str], Sequence[str]]:
    """Return AWS's words by the line's index (from 0), and words that name no line.

    ``unanswered`` are the lines without a result: what is said must be about them.
    """
    said = [_refusal(line) for line in _lines(cloud, task_id, "ERRORS", download)]
    numbered = {number: words for number, words in said if number is not None}
    others = [words for number, words in said if number is None]
    # Whether AWS counts from 0 or from 1 is not published; only one can fit.
    for first in (1, 0):
        if {number - first for number in numbered} <= set(unanswered):
            return {number - first: words for number, words in numbered.items()}, others
    return {}, [words for _, words in said]


def _refusal(line: str) -> tuple[int | None, str]:
    error = _object(line)
    number = error.get("lineNumber")
    code, message = str(error.get("errorCode", "")), str(error.get("errorMessage", ""))
    words = ": ".join(filter(None, (code, message))) or line
    return number if isinstance(number, int) else None, words


def _lines(cloud: Cloud, task_id: str, report: str, download: Download) -> Iterator[str]:
    for page in cloud.pages("iot", _ACTION, taskId=task_id, reportType=report):
        for link in names(page, "resourceLinks"):
            yield from filter(None, download(link).decode().splitlines())


def _object(value: object) -> Mapping[str, object]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}
