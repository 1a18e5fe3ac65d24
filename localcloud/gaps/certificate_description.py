"""DescribeCertificate tells how long a certificate is valid, and when its status changed.

AWS returns ``validity`` with ``notBefore`` and ``notAfter``, and ``lastModifiedDate`` (botocore
model of CertificateDescription). MiniStack returns neither.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from cryptography import x509

from localcloud.gaps._support.rest import Response
from localcloud.seam import Seam

_PATH: Final = "/certificates/"
_PROBE: Final = "localcloud-probe"
_OK: Final = 200


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still describes a certificate without its validity."""
    certificates = iot["_certificates"]
    certificates[_PROBE] = {
        "certificateId": _PROBE, "certificateArn": "", "status": "INACTIVE", "certificatePem": "",
        "ownedBy": "",
    }  # fmt: skip
    response: Response = iot["_handle_certificate"]("GET", _PATH + _PROBE, b"", {})
    certificates.pop(_PROBE, None)
    return b'"validity"' not in response[2]


def close(iot: Seam) -> None:
    """Note each change of a status; tell both in a description."""
    handle: Callable[[str, str, bytes, Mapping[str, str]], Response] = iot["_handle_certificate"]

    def handle_certificate(
        method: str, path: str, body: bytes, query: Mapping[str, str]
    ) -> Response:
        response = handle(method, path, body, query)
        certificate_id = path.removeprefix(_PATH)
        record = iot["_certificates"].get(certificate_id)
        if response[0] != _OK or not record:
            return response
        if method == "PUT":
            changed = {**record, "lastModifiedDate": iot["_now_epoch"]()}
            iot["_certificates"][certificate_id] = changed
        if method != "GET":
            return response
        described = json.loads(response[2])
        described["certificateDescription"] |= _dates(record)
        answer: Response = iot["json_response"](described)
        return answer

    iot["_handle_certificate"] = handle_certificate


def _dates(record: Mapping[str, Any]) -> Mapping[str, Any]:
    modified = record.get("lastModifiedDate", record.get("creationDate"))
    try:
        certificate = x509.load_pem_x509_certificate(record["certificatePem"].encode())
    except ValueError:  # of a test, or of an older state
        return {"lastModifiedDate": modified}
    valid = {
        "notBefore": certificate.not_valid_before_utc.timestamp(),
        "notAfter": certificate.not_valid_after_utc.timestamp(),
    }
    return {"lastModifiedDate": modified, "validity": valid}
