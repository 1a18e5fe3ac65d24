"""The explanation of one device: every check in order, and what could not be looked at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from factory.diagnosis import provisioning, refusals, wire
from factory.diagnosis.reason import Reason
from factory.diagnosis.subject import Subject
from factory.errors import CLOUD_DENIED, CloudError

Check = Callable[[Subject], Iterator[Reason]]

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("endpoint", refusals.endpoint),
    ("status", refusals.status),
    ("CA", provisioning.certificate_authority),
    ("just-in-time", provisioning.just_in_time),
    ("templates", provisioning.claim),
    ("certificate and thing", refusals.registered),
    ("validity", refusals.validity),
    ("policies", refusals.policies),
    ("attachments", refusals.attachments),
    ("connection", refusals.connection),
)
"""In the order in which AWS IoT comes to them; what keeps a device from being registered comes
before the fact that it is not."""


@dataclass
class Explanation:
    """What was found, and which rights were lacking."""

    reasons: list[Reason] = field(default_factory=list)
    not_looked_at: dict[str, str] = field(default_factory=dict)
    """What could not be judged, with the right that is lacking."""


def explain(subject: Subject, local_aws: Path | None = None) -> Explanation:
    """Make every check; a right that is lacking ends one check, and no other.

    Raises:
        CloudError: AWS cannot be called at all.
        ConfigurationError: no local AWS runs in ``local_aws``.
    """
    events = [] if local_aws is None else wire.wire_of(local_aws)
    found = Explanation()
    for name, check in CHECKS:
        try:
            found.reasons.extend(check(subject))
        except CloudError as error:
            if error.row is not CLOUD_DENIED:
                raise
            found.not_looked_at[name] = str(error.fields.get("action", error))
    if events:
        found.reasons += wire.refusals(events, subject.certificate_id, subject.client_id)
    return found
