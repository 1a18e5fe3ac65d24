"""A topic rule calls a Lambda only if the function's own policy lets AWS IoT do so for this rule.

The console adds that permission by itself; whoever makes the rule by the API must
(developer guide, "Lambda" rule action: "AWS IoT needs lambda:InvokeFunction", by AddPermission).
Without it nothing happens but a line in AWS IoT's log. MiniStack calls any function from a rule,
and asks for the permission for pre-provisioning hooks only.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from localcloud.gaps._support.rest import arn_of
from localcloud.seam import Seam

_LOOKS: Final = {"evaluate_resource_policy", "_provisioning_hook_function"}

Action = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still calls a rule's Lambda without a look at its policy."""
    steps = ("_dispatch_rule_action", "_dispatch_rule_to_lambda")
    return not any(_LOOKS & set(iot[step].__code__.co_names) for step in steps)


def close(iot: Seam) -> None:
    """Let an action without the permission fail, as MiniStack lets any other."""
    dispatch: Callable[..., Awaitable[None]] = iot["_dispatch_rule_action"]

    async def dispatch_if_permitted(
        account: str, region: str, rule_name: str, action: Action, event: object
    ) -> None:
        function = (action.get("lambda") or {}).get("functionArn")
        if function and not _is_permitted(iot, account, region, rule_name, function):
            raise PermissionError(f"rule {rule_name} may not invoke {function}")
        await dispatch(account, region, rule_name, action, event)

    iot["_dispatch_rule_action"] = dispatch_if_permitted


def _is_permitted(iot: Seam, account: str, region: str, rule_name: str, function: str) -> bool:
    with iot["request_scope"](account, region):
        rule_arn = arn_of(iot, f"rule/{rule_name}")
        return iot["_provisioning_hook_function"](function, rule_arn) is not None
