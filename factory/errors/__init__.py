"""Every error that the station raises on purpose; a page for each area.

They derive from the device's base, so one ``except`` serves both: each names its cause, says
what to do next, and carries the exit code. Text never holds a secret.
"""

from factory.errors.account import (
    CertificateProviderTakenError,
    NotMadeByStationError,
    NotRegisteredError,
    OtherTypeError,
    RegisteredOtherwiseError,
    SerialNumberTakenError,
    TemplateMissingError,
    ThingTakenError,
)
from factory.errors.base import StationError
from factory.errors.bulk import (
    AnotherTaskRunsError,
    BatchError,
    BatchJournalError,
    BatchUnfinishedError,
    BucketMissingError,
    SerialNumbersError,
)
from factory.errors.claim import (
    ClaimRefusedError,
    NobodyWaitsError,
)
from factory.errors.cloud import (
    CloudConfigurationError,
    CloudDeniedError,
    CloudError,
    CloudLimitError,
    CloudNotReachableError,
    CloudRejectedError,
    CloudThrottledError,
    NotInCloudError,
    StillInUseError,
)
from factory.errors.line import (
    BatchUnknownError,
    ManifestDeviceError,
    ManifestError,
    RegisteredElsewhereError,
    SerialNumberUnknownError,
)
from factory.errors.lint import (
    LintFailedError,
    NothingToLintError,
)
from factory.errors.making import (
    CsrUnacceptableError,
    DeviceIdError,
    ElementChoiceError,
    LeafSubjectError,
    OtherMethodError,
    ReplacedMeanwhileError,
    SerialNumberError,
    SerialNumberUsedError,
)
from factory.errors.station import (
    AuthorityMissingError,
    ExtraMissingError,
    LedgerError,
    NotAStationError,
    OptionNotUsedError,
    OtherAccountError,
    StationNotPreparedError,
)

__all__ = [
    "AnotherTaskRunsError",
    "AuthorityMissingError",
    "BatchError",
    "BatchJournalError",
    "BatchUnfinishedError",
    "BatchUnknownError",
    "BucketMissingError",
    "CertificateProviderTakenError",
    "ClaimRefusedError",
    "CloudConfigurationError",
    "CloudDeniedError",
    "CloudError",
    "CloudLimitError",
    "CloudNotReachableError",
    "CloudRejectedError",
    "CloudThrottledError",
    "CsrUnacceptableError",
    "DeviceIdError",
    "ElementChoiceError",
    "ExtraMissingError",
    "LeafSubjectError",
    "LedgerError",
    "LintFailedError",
    "ManifestDeviceError",
    "ManifestError",
    "NobodyWaitsError",
    "NotAStationError",
    "NotInCloudError",
    "NotMadeByStationError",
    "NotRegisteredError",
    "NothingToLintError",
    "OptionNotUsedError",
    "OtherAccountError",
    "OtherMethodError",
    "OtherTypeError",
    "RegisteredElsewhereError",
    "RegisteredOtherwiseError",
    "ReplacedMeanwhileError",
    "SerialNumberError",
    "SerialNumberTakenError",
    "SerialNumberUnknownError",
    "SerialNumberUsedError",
    "SerialNumbersError",
    "StationError",
    "StationNotPreparedError",
    "StillInUseError",
    "TemplateMissingError",
    "ThingTakenError",
]
