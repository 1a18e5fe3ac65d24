"""What AWS says of each line when a task has ended: RESULTS and ERRORS, behind signed URLs.

AWS does not publish what a line looks like. A line of RESULTS is read as AWS's own samples do
(aws-samples/aws-iot-device-management-workshop, ``bin/bulk-result.py``); whose certificate it
is, is told by its key. In ERRORS the line's number and the words are looked for, and a line
that has neither is passed on as it is.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from factory.cloud import Cloud, names
from factory.errors import CloudNotReachableError, CloudRejectedError

Download = Callable[[str], bytes]
"""Fetches what is behind a signed URL; the URL is a credential for as long as it lives."""

_SECONDS: Final = 60
_LOOPBACK: Final = ("localhost", "127.0.0.1")
_ACTION: Final = "ListThingRegistrationTaskReports"


def download(url: str) -> bytes:
    """Return what is behind ``url``: over TLS, or from the local AWS.

    Raises:
        CloudRejectedError: the answer was no; a signed URL lives for some hours at most.
        CloudNotReachableError: nobody answered.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise CloudRejectedError(_ACTION, "", f"a report is not to be fetched over {parts.scheme}")
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:  # noqa: S310 - checked above
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise CloudRejectedError(_ACTION, str(error.code), "a report was not handed out") from error
    except OSError as error:
        raise CloudNotReachableError(f"a report of {_ACTION} did not come: {error}") from error
    return content


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
