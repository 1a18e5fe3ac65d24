"""A policy's certificates are not written with the policy: each certificate names its policies.

MiniStack keeps both directions. A policy of a fleet has thousands of certificates, so a journal
that repeats them at each new one grows with the square of the fleet.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from localcloud.seam import Seam

STORE: Final = ("iot", "policies")
_TARGETS: Final = "targets"
_CERTIFICATE: Final = ":cert/"

Record = dict[str, Any]


def without_certificates(policy: Record) -> Record:
    """Return ``policy`` as it is written: its other targets are named nowhere else."""
    return {**policy, _TARGETS: [*_others(tuple(policy.get(_TARGETS, ())))]}


@lru_cache(maxsize=8)
def _others(targets: tuple[str, ...]) -> tuple[str, ...]:
    """Each connection looks at its policy several times, and few of them change it."""
    return tuple(target for target in targets if _CERTIFICATE not in target)


def find_at_start(iot: Seam) -> None:
    """Have each policy's certificates found when MiniStack reads its state."""
    restore: Callable[[Record], None] = iot["load_persisted_state"]

    def restore_all(saved: Record) -> None:
        restore(saved)
        for policy in iot["_policies"].all_values():
            policy[_TARGETS] = without_certificates(policy)[_TARGETS]
        for (account, region, _), certificate in iot["_certificates"].all_items():
            for name in certificate.get("attachedPolicies", []):
                policy = iot["_policies"].get_scoped(account, region, name)
                if policy is not None:
                    policy[_TARGETS].append(certificate["certificateArn"])

    iot["load_persisted_state"] = restore_all
