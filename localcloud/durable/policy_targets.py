"""A policy's certificates are not written with the policy: each certificate names its policies.

MiniStack keeps both directions. A policy of a fleet has thousands of certificates, so a journal
that repeats them at each new one grows with the square of the fleet; and so does the time, if
each new one is looked for in a list.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from localcloud.seam import Seam

STORE: Final = ("iot", "policies")
_TARGETS: Final = "targets"
_CERTIFICATE: Final = ":cert/"

Record = dict[str, Any]


class Targets(list[str]):
    """The targets of a policy, with a set beside them; MiniStack appends, removes and looks."""

    def __init__(self, targets: Iterable[str] = ()) -> None:
        """Begin with ``targets``, in their order."""
        super().__init__(targets)
        self._known = set(self)
        self.others = _others(self)
        """Those that are no certificates."""

    def __contains__(self, target: object) -> bool:
        """Tell whether ``target`` is one, without a look at all of them."""
        return target in self._known

    def append(self, target: str) -> None:
        """Add one."""
        super().append(target)
        self._known.add(target)
        self.others += _others([target])

    def remove(self, target: str) -> None:
        """Take one out that is in."""
        super().remove(target)
        self._known.discard(target)
        self.others = _others(self)

    def __deepcopy__(self, _memo: object) -> list[str]:
        """Return what is saved: a list."""
        return list(self)


def without_certificates(policy: Record) -> Record:
    """Return ``policy`` as it is written: its other targets are named nowhere else."""
    targets = policy.get(_TARGETS, [])
    others = targets.others if isinstance(targets, Targets) else _others(targets)
    return {**policy, _TARGETS: [*others]}


def _others(targets: Iterable[str]) -> list[str]:
    return [target for target in targets if _CERTIFICATE not in target]


def look_up_targets(iot: Seam) -> None:
    """Have a policy's targets looked up, and not searched, when one is attached or detached."""
    change: Callable[..., object] = iot["_change_policy_target"]

    def change_policy_target(name: str, target: str | None, **how: bool) -> object:
        policy = iot["_policies"].get(name)
        if policy is not None and not isinstance(policy.get(_TARGETS), Targets):
            policy[_TARGETS] = Targets(policy.get(_TARGETS, ()))
        return change(name, target, **how)

    iot["_change_policy_target"] = change_policy_target


def find_at_start(iot: Seam) -> None:
    """Have each policy's certificates found when MiniStack reads its state."""
    restore: Callable[[Record], None] = iot["load_persisted_state"]

    def restore_all(saved: Record) -> None:
        restore(saved)
        for policy in iot["_policies"].all_values():
            policy[_TARGETS] = Targets(_others(policy.get(_TARGETS, ())))
        for (account, region, _), certificate in iot["_certificates"].all_items():
            for name in certificate.get("attachedPolicies", []):
                policy = iot["_policies"].get_scoped(account, region, name)
                if policy is not None:
                    policy[_TARGETS].append(certificate["certificateArn"])

    iot["load_persisted_state"] = restore_all
