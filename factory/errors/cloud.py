"""Calls to AWS."""

from typing import Final

from device.errors import ExitCode, Row
from factory.errors.base import StationError


class CloudError(StationError):
    """A call to AWS failed, or could not be made."""


CLOUD_CONFIGURATION: Final = Row(
    "FB-601",
    "CloudConfigurationError",
    "AWS cannot be called",
    means="Credentials, Region or endpoint are missing or invalid.",
    causes=(
        "No AWS_PROFILE and no keys are set.",
        "The credentials have expired.",
        "This machine's clock is wrong.",
    ),
    next_step='For the local AWS: eval "$(localcloud env)". For a real account: set AWS_PROFILE, '
    "or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION.",
    exit_code=ExitCode.CONFIGURATION_INVALID,
    kind=CloudError,
    reproduce=("AWS_DEFAULT_REGION= factory explain --serial {code}  # {code}",),
)
CLOUD_NOT_REACHABLE: Final = Row(
    "FB-602",
    "CloudNotReachableError",
    "AWS did not answer",
    means="The endpoint did not answer in time.",
    causes=("The network is down.", "AWS_ENDPOINT_URL names a local AWS that does not run."),
    next_step="Check the network, and AWS_ENDPOINT_URL if it is set (a local AWS is started by: "
    "localcloud up --detach). It is safe to run the same command again.",
    exit_code=ExitCode.TRY_LATER,
    kind=CloudError,
    reproduce=(("AWS_ENDPOINT_URL=http://127.0.0.1:1 factory explain --serial {code}  # {code}"),),
)
CLOUD_THROTTLED: Final = Row(
    "FB-603",
    "CloudThrottledError",
    "AWS is too busy",
    means="AWS throttled the call, or has a fault of its own.",
    causes=("Too many calls are made in this account.", "AWS has a fault."),
    next_step="Wait a few minutes and run the same command again; it continues where it stopped.",
    exit_code=ExitCode.TRY_LATER,
    kind=CloudError,
    needs="an account that throttles",
)
CLOUD_DENIED: Final = Row(
    "FB-604",
    "CloudDeniedError",
    "IAM does not allow the call",
    means="The credentials are valid, but IAM does not allow this call.",
    causes=("The role lacks the action.", "A boundary or an organisation's policy forbids it."),
    next_step="Allow {action} for these credentials in IAM. docs/station.md lists all the actions "
    "that the station needs.",
    sentence="not allowed to call {action}: {problem}",
    exit_code=ExitCode.DENIED,
    kind=CloudError,
    reproduce=(
        "aws iam create-user --user-name {code}",
        (
            "eval \"$(aws iam create-access-key --user-name {code} --query 'join(``, "
            "[`AWS_ACCESS_KEY_ID=`, AccessKey.AccessKeyId, `; AWS_SECRET_ACCESS_KEY=`, "
            "AccessKey.SecretAccessKey])' --output text)\""
        ),
        "factory prepare --method claim --station {code}  # {code}",
    ),
)
CLOUD_LIMIT: Final = Row(
    "FB-605",
    "CloudLimitError",
    "A quota is used up",
    means="A quota of the account is used up.",
    causes=("Resources of old tests are still there.",),
    next_step="Delete what you do not need, or request an increase under AWS Service Quotas, IoT "
    "Core.",
    exit_code=ExitCode.DENIED,
    kind=CloudError,
    needs="an account whose quota is used up",
)
CLOUD_REJECTED: Final = Row(
    "FB-606",
    "CloudRejectedError",
    "AWS rejected a call",
    means="AWS rejected a call, and says why in its message.",
    causes=("A resource was changed by someone else.", "A name or a value is not valid."),
    next_step="Read AWS's message above. It is safe to run the same command again.",
    sentence="{action} was rejected: {error_code}: {problem}",
    needs="a call that AWS rejects; the message has AWS's words",
)


class CloudRejectedError(CloudError):
    """AWS rejected a call."""

    row = CLOUD_REJECTED

    def __init__(
        self, action: str, error_code: str, message: str, *, row: Row | None = None
    ) -> None:
        """Keep the IAM ``action``, AWS's ``error_code`` and its own words."""
        super().__init__(message, row=row, action=action, error_code=error_code)
        self.action = action
        self.error_code = error_code


NOT_IN_CLOUD: Final = Row(
    "FB-607",
    "NotInCloudError",
    "AWS does not have it",
    means="The named resource does not exist in this account and Region.",
    causes=("Someone deleted it.", "The Region is another one."),
    next_step=CLOUD_REJECTED.next_step,
    sentence=CLOUD_REJECTED.sentence,
    needs="a resource that someone deletes while the station uses it",
)


class NotInCloudError(CloudRejectedError):
    """The named resource does not exist in this account and Region."""

    row = NOT_IN_CLOUD


STILL_IN_USE: Final = Row(
    "FB-608",
    "StillInUseError",
    "A resource cannot be deleted yet",
    means="AWS does not delete a resource that was in use a moment ago (DeleteConflict).",
    causes=("A policy was detached, or a thing type deprecated, less than five minutes ago.",),
    next_step="AWS may need five minutes until a detached policy can be deleted. Run the same "
    "command again then.",
    sentence=CLOUD_REJECTED.sentence,
    exit_code=ExitCode.TRY_LATER,
    kind=CloudRejectedError,
    needs="a thing type that was deprecated less than five minutes ago",
)
