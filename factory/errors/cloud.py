"""Calls to AWS."""

from device.errors import ExitCode
from factory.errors.base import StationError


class CloudError(StationError):
    """A call to AWS failed."""


class CloudConfigurationError(CloudError):
    """Credentials, Region or endpoint are missing or invalid."""

    exit_code = ExitCode.CONFIGURATION_INVALID
    next_step = (
        'For the local AWS: eval "$(localcloud env)". For a real account: set AWS_PROFILE, or '
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION."
    )


class CloudNotReachableError(CloudError):
    """The endpoint did not answer in time."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "Check the network, and AWS_ENDPOINT_URL if it is set (a local AWS is started by: "
        "localcloud up --detach). It is safe to run the same command again."
    )


class CloudThrottledError(CloudError):
    """AWS throttled the call, or has a fault of its own."""

    exit_code = ExitCode.TRY_LATER
    next_step = "Wait a few minutes and run the same command again; it continues where it stopped."


class CloudDeniedError(CloudError):
    """The credentials are valid, but IAM does not allow this call."""

    exit_code = ExitCode.DENIED

    def __init__(self, action: str, message: str) -> None:
        """Name the IAM ``action`` that is missing, and AWS's own words."""
        super().__init__(f"not allowed to call {action}: {message}")
        self.action = action
        self.next_step = (
            f"Allow {action} for these credentials in IAM. docs/station.md lists all the "
            "actions that the station needs."
        )


class CloudLimitError(CloudError):
    """A quota of the account is used up."""

    exit_code = ExitCode.DENIED
    next_step = (
        "Delete what you do not need, or request an increase under AWS Service Quotas, IoT Core."
    )


class CloudRejectedError(CloudError):
    """AWS rejected a call."""

    next_step = "Read AWS's message above. It is safe to run the same command again."

    def __init__(self, action: str, error_code: str, message: str) -> None:
        """Keep the IAM ``action``, AWS's ``error_code`` and its own words."""
        super().__init__(f"{action} was rejected: {error_code}: {message}")
        self.action = action
        self.error_code = error_code


class NotInCloudError(CloudRejectedError):
    """The named resource does not exist in this account and Region."""


class StillInUseError(CloudRejectedError):
    """A resource cannot be deleted yet (AWS: DeleteConflict)."""

    exit_code = ExitCode.TRY_LATER
    next_step = (
        "AWS may need five minutes until a detached policy can be deleted. Run the same command "
        "again then."
    )
