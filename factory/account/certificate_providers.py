"""The account's certificate provider: the Lambda that signs what devices ask for over MQTT.

An account has one in each Region, for every CreateCertificateFromCsr over MQTT. AWS IoT
developer guide, "Self-managed certificate signing using AWS IoT Core certificate provider".
"""

from typing import Final

from factory.account.changes import Change, Outcome
from factory.account.cloud import Cloud, items, text
from factory.account.tags import owned, station_tags, tags_of
from factory.errors import CertificateProviderTakenError

KIND: Final = "certificate provider"
_OPERATIONS: Final = "CreateCertificateFromCsr"


def certificate_provider_arn(cloud: Cloud, name: str) -> str:
    """Return the provider's ARN, without asking."""
    return cloud.account.arn("iot", f"certificateprovider/{name}")


def is_certificate_provider(cloud: Cloud, name: str) -> bool:
    """Tell whether the account has the station's provider ``name``.

    Raises:
        CertificateProviderTakenError: the account has one that the station did not make.
        CloudError: AWS did not answer, or said no.
    """
    listed = cloud.call("iot", "ListCertificateProviders")  # one at most, so one page
    for found in items(listed, "certificateProviders"):
        taken = text(found, "certificateProviderName")
        arn = text(found, "certificateProviderArn")
        if taken != name or not owned(tags_of(cloud, arn)):
            raise CertificateProviderTakenError(
                f"{cloud.account} has the certificate provider {taken}, which the station did not "
                "make, and AWS allows one"
            )
        return True
    return False


def ensure_certificate_provider(cloud: Cloud, name: str, function_arn: str) -> Change:
    """Make the provider, or have it call ``function_arn`` again.

    Raises:
        CertificateProviderTakenError: the account has one that the station did not make.
        CloudError: AWS did not answer, or said no.
    """
    if not is_certificate_provider(cloud, name):
        cloud.call(
            "iot", "CreateCertificateProvider",
            certificateProviderName=name, lambdaFunctionArn=function_arn,
            accountDefaultForOperations=[_OPERATIONS], tags=station_tags(),
        )  # fmt: skip
        return Change(KIND, name, Outcome.CREATED)
    found = cloud.call("iot", "DescribeCertificateProvider", certificateProviderName=name)
    if found["lambdaFunctionArn"] == function_arn:
        return Change(KIND, name, Outcome.UNCHANGED)
    cloud.call(
        "iot", "UpdateCertificateProvider",
        certificateProviderName=name, lambdaFunctionArn=function_arn,
    )  # fmt: skip
    return Change(KIND, name, Outcome.UPDATED, "restored: lambdaFunctionArn")


def remove_certificate_provider(cloud: Cloud, name: str) -> Change:
    """Delete the provider, if it is the station's; then AWS IoT signs again by itself.

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    try:
        is_there = is_certificate_provider(cloud, name)
    except CertificateProviderTakenError as error:
        return Change(KIND, name, Outcome.ABSENT, str(error))
    if not is_there:
        return Change(KIND, name, Outcome.ABSENT)
    cloud.call("iot", "DeleteCertificateProvider", certificateProviderName=name)
    return Change(KIND, name, Outcome.REMOVED)
