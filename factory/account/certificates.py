"""Device and claim certificates in AWS's registry: look them up, turn them on and off."""

from collections.abc import Iterator
from datetime import datetime

from factory.account.cloud import Cloud, Response, items, listed, structure, text
from factory.account.policies import policy_targets


def describe_certificate(cloud: Cloud, certificate_id: str) -> Response:
    """Return AWS's description (``certificateArn``, ``status``, ``certificatePem``, ...).

    Raises:
        NotInCloudError: no certificate has this id in this account and Region.
    """
    answer = cloud.call("iot", "DescribeCertificate", certificateId=certificate_id)
    return structure(answer, "certificateDescription")


def set_certificate_status(cloud: Cloud, certificate_id: str, status: str) -> None:
    """Set ``status`` (ACTIVE, INACTIVE or REVOKED)."""
    cloud.call("iot", "UpdateCertificate", certificateId=certificate_id, newStatus=status)


def delete_certificate(cloud: Cloud, certificate_id: str) -> None:
    """Turn a certificate off, then delete it.

    ``forceDelete`` takes the policy attachments along. So the certificate can be found by
    its policy until it is gone, and a run that was stopped in between can go on.
    """
    # A REVOKED one is off already, and AWS lets nobody change that.
    if describe_certificate(cloud, certificate_id)["status"] == "ACTIVE":
        set_certificate_status(cloud, certificate_id, "INACTIVE")
    cloud.call("iot", "DeleteCertificate", certificateId=certificate_id, forceDelete=True)


def attached_certificates(cloud: Cloud, policy: str) -> list[str]:
    """Return the ids of the certificates that ``policy`` is attached to."""
    found = map(certificate_id_of, policy_targets(cloud, policy))
    return [each for each in found if each]


def policies_of(cloud: Cloud, arn: str) -> list[str]:
    """Return the names of the policies that are attached to a certificate.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    found = listed(cloud, "iot", "ListAttachedPolicies", "policies", target=arn)
    return [text(each, "policyName") for each in found]


def certificate_id_of(arn: str) -> str:
    """Return the id in the ARN of a certificate; "" for the ARN of anything else."""
    return arn.partition(":cert/")[2]


def certificates_since(cloud: Cloud, since: datetime) -> Iterator[str]:
    """Yield the ids of the certificates created at ``since`` or later; AWS lists newest first."""
    for page in cloud.pages("iot", "ListCertificates", ascendingOrder=False):
        listed = items(page, "certificates")
        recent = [text(each, "certificateId") for each in listed if _created(each) >= since]
        yield from recent
        if len(recent) < len(listed):
            return


def _created(certificate: Response) -> datetime:
    value = certificate["creationDate"]
    if not isinstance(value, datetime):
        raise TypeError(f"creationDate is {type(value).__name__}, not a time")
    return value
