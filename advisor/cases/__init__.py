"""The cases: AWS IoT Device Advisor's in its order, then ours."""

from collections.abc import Sequence
from typing import Final

from advisor.case import Case
from advisor.cases import (
    long_duration,
    mqtt,
    policies,
    provisioning,
    sessions,
    shadow_and_jobs,
    tls,
    wire,
)

CASES: Final[Sequence[Case]] = (
    *tls.CASES,
    *mqtt.CASES,
    *sessions.CASES,
    *shadow_and_jobs.CASES,
    *policies.CASES,
    *long_duration.CASES,
    *tls.OURS,
    *wire.CASES,
    *provisioning.CASES,
)
