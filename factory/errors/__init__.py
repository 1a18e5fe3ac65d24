"""Every error that the station raises on purpose: rows by area, and the classes decided by.

They derive from the device's base, so one ``except`` serves both: each names its cause, says
what to do next, and carries code and exit code. Text never holds a secret.
"""

from factory.errors.account import (
    CERTIFICATE_PROVIDER_TAKEN,
    NOT_MADE_BY_STATION,
    NOT_REGISTERED,
    OTHER_TYPE,
    REGISTERED_OTHERWISE,
    SERIAL_NUMBER_TAKEN,
    TEMPLATE_MISSING,
    THING_TAKEN,
    CertificateProviderTakenError,
)
from factory.errors.base import (
    OneDeviceError,
    StationError,
)
from factory.errors.bulk import (
    ANOTHER_TASK_RUNS,
    BATCH,
    BATCH_JOURNAL,
    BATCH_UNFINISHED,
    BUCKET_MISSING,
    SERIAL_NUMBERS,
)
from factory.errors.claim import (
    CLAIM_REFUSED,
    NOBODY_WAITS,
)
from factory.errors.cloud import (
    CLOUD_CONFIGURATION,
    CLOUD_DENIED,
    CLOUD_LIMIT,
    CLOUD_NOT_REACHABLE,
    CLOUD_REJECTED,
    CLOUD_THROTTLED,
    NOT_IN_CLOUD,
    STILL_IN_USE,
    CloudError,
    CloudRejectedError,
    NotInCloudError,
)
from factory.errors.line import (
    BATCH_UNKNOWN,
    MANIFEST,
    MANIFEST_DEVICE,
    REGISTERED_ELSEWHERE,
    SERIAL_NUMBER_UNKNOWN,
)
from factory.errors.lint import (
    LINT_FAILED,
    NOTHING_TO_LINT,
)
from factory.errors.making import (
    CSR_UNACCEPTABLE,
    DEVICE_ID,
    ELEMENT_CHOICE,
    LEAF_SUBJECT,
    OTHER_METHOD,
    REPLACED_MEANWHILE,
    SERIAL_NUMBER,
    SERIAL_NUMBER_USED,
)
from factory.errors.station import (
    AUTHORITY_MISSING,
    EXTRA_MISSING,
    LEDGER,
    MACHINE_REFUSED,
    MISUSE,
    NOT_A_STATION,
    OPTION_NOT_USED,
    OTHER_ACCOUNT,
    STATION_NOT_PREPARED,
    STOPPED,
    StationNotPreparedError,
)

__all__ = [
    "ANOTHER_TASK_RUNS",
    "AUTHORITY_MISSING",
    "BATCH",
    "BATCH_JOURNAL",
    "BATCH_UNFINISHED",
    "BATCH_UNKNOWN",
    "BUCKET_MISSING",
    "CERTIFICATE_PROVIDER_TAKEN",
    "CLAIM_REFUSED",
    "CLOUD_CONFIGURATION",
    "CLOUD_DENIED",
    "CLOUD_LIMIT",
    "CLOUD_NOT_REACHABLE",
    "CLOUD_REJECTED",
    "CLOUD_THROTTLED",
    "CSR_UNACCEPTABLE",
    "DEVICE_ID",
    "ELEMENT_CHOICE",
    "EXTRA_MISSING",
    "LEAF_SUBJECT",
    "LEDGER",
    "LINT_FAILED",
    "MACHINE_REFUSED",
    "MANIFEST",
    "MANIFEST_DEVICE",
    "MISUSE",
    "NOBODY_WAITS",
    "NOTHING_TO_LINT",
    "NOT_A_STATION",
    "NOT_IN_CLOUD",
    "NOT_MADE_BY_STATION",
    "NOT_REGISTERED",
    "OPTION_NOT_USED",
    "OTHER_ACCOUNT",
    "OTHER_METHOD",
    "OTHER_TYPE",
    "REGISTERED_ELSEWHERE",
    "REGISTERED_OTHERWISE",
    "REPLACED_MEANWHILE",
    "SERIAL_NUMBER",
    "SERIAL_NUMBERS",
    "SERIAL_NUMBER_TAKEN",
    "SERIAL_NUMBER_UNKNOWN",
    "SERIAL_NUMBER_USED",
    "STATION_NOT_PREPARED",
    "STILL_IN_USE",
    "STOPPED",
    "TEMPLATE_MISSING",
    "THING_TAKEN",
    "CertificateProviderTakenError",
    "CloudError",
    "CloudRejectedError",
    "NotInCloudError",
    "OneDeviceError",
    "StationError",
    "StationNotPreparedError",
]
