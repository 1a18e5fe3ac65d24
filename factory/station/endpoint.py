"""Where a device is to connect, as AWS says."""

from device.config.data_endpoint import region_of
from device.config.endpoint import Endpoint
from factory.account.cloud import Cloud, text


def aws_region(endpoint: str) -> str | None:
    """Return the Region that an endpoint of AWS names; None for any other."""
    host = endpoint.partition(":")[0].lower()
    return region_of(host) if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else None


def find_endpoint(cloud: Cloud) -> str:
    """Ask AWS for the account's endpoint (``iot:Data-ATS``).

    Raises:
        CloudError: AWS did not answer, or said no.
    """
    answer = cloud.call("iot", "DescribeEndpoint", endpointType="iot:Data-ATS")
    return str(Endpoint(text(answer, "endpointAddress").partition(":")[0]))
