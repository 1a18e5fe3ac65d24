"""The IAM role of a Lambda: what its policy in config/policies allows, and nothing else."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from factory.account.changes import Change
from factory.account.cloud import Cloud
from factory.account.documents import load_policy
from factory.account.roles import Role, ensure_role, remove_role

KIND: Final = "Lambda role"
_TRUST: Final = "firstboot-lambda"


def ensure_lambda_role(
    cloud: Cloud, function: str, placeholders: Mapping[str, str] = MappingProxyType({})
) -> Change:
    """Make the role of ``function``, or bring it back to its policies.

    ``placeholders`` are those of its policy that are not of every account.

    Raises:
        NotMadeByStationError: someone else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    values = {**cloud.account.placeholders, **placeholders}
    wanted = Role(
        name=function,
        trust_policy=load_policy(_TRUST, values),
        user=function,
        kind=KIND,
        description="What one of the station's Lambdas may do (Firstboot)",
        managed_policy=None,
        inline_policy=load_policy(function, values),
    )
    return ensure_role(cloud, wanted)


def remove_lambda_role(cloud: Cloud, function: str) -> Change:
    """Delete the role of ``function``, unless it runs in another Region, too.

    Raises:
        NotMadeByStationError: someone else's role has this name.
        CloudError: AWS did not answer, or said no.
    """
    return remove_role(cloud, function, function, KIND)
