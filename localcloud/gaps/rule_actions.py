"""Rule actions: substitution templates, the role's permissions, and no action is skipped.

``${expression}`` in an action is replaced; it sees the message as it was published and the
functions, no alias of SELECT, and ``$$`` begins a reserved topic (developer guide, "Substitution
templates" and "Republish"). AWS IoT acts with the rule's role, which must allow the action on its
target; what is denied goes to the errorAction. MiniStack publishes a template as it stands, asks
no role, and skips actions that it does not have; here a rule with such an action is refused.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final

from localcloud.seam import Seam

_TEMPLATE: Final = re.compile(r"\$\{((?:'(?:[^']|'')*'|[^'}])*)\}")
_SERVED: Final = ("lambda", "republish", "dynamoDBv2", "sns", "sqs")
_message: ContextVar[tuple[Any, ...] | None] = ContextVar("rule_message", default=None)

Action = Mapping[str, Any]


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still looks for no template in an action."""
    names = iot["_dispatch_rule_action"].__code__.co_names
    return "_eval_select_expr" not in names and "_substitute" not in names


def close(iot: Seam) -> None:
    """Fill in the templates, ask the role, refuse what is not served."""
    run: Callable[..., Awaitable[None]] = iot["_run_rule_actions"]
    dispatch: Callable[..., Awaitable[None]] = iot["_dispatch_rule_action"]
    put: Callable[..., Any] = iot["put_topic_rule"]
    read: Callable[[bytes], Any] = iot["_rule_message"]

    def rule_message(payload: bytes) -> Any:
        try:
            return read(payload)
        except RecursionError:  # nested deeper than the parser goes: it is text, as no JSON is
            return payload.decode()

    async def run_actions(  # noqa: PLR0913, PLR0917  (MiniStack's)
        account: str,
        region: str,
        rule: Any,
        payload: bytes,
        topic: str = "",
        client_id: str | None = None,
    ) -> None:
        token = _message.set((topic, payload, iot["_rule_message"](payload), client_id))
        try:
            await run(account, region, rule, payload, topic, client_id)
        finally:
            _message.reset(token)

    async def dispatch_filled(
        account: str, region: str, rule: str, action: Action, event: object
    ) -> None:
        filled: Action = _filled(iot, action)
        with iot["request_scope"](account, region):
            _check_role(iot, account, region, filled)
        await dispatch(account, region, rule, filled, event)

    def put_topic_rule(name: str, payload: Any, **options: Any) -> Any:
        error = next(_errors(payload), None)
        if error:
            raise iot["RuleRoleError"](error)
        return put(name, payload, **options)

    iot["_rule_message"] = rule_message
    iot["_run_rule_actions"] = run_actions
    iot["_dispatch_rule_action"] = dispatch_filled
    iot["put_topic_rule"] = put_topic_rule


def _errors(payload: Mapping[str, Any]) -> Iterator[str]:
    actions = payload.get("actions")
    if actions is not None and not isinstance(actions, list):
        yield "actions must be a list"
        return
    last = payload.get("errorAction")
    for action in [*(actions or []), *([last] if last else [])]:
        if not isinstance(action, dict) or len(action) != 1:
            yield "each action must be an object with one member"
            return
        [(kind, settings)] = action.items()
        if kind not in _SERVED:
            yield f"the local AWS has no action {kind}; it has {', '.join(_SERVED)}"
        elif not isinstance(settings, dict):
            yield f"action {kind} must be an object"


def _filled(iot: Seam, value: Any) -> Any:
    """Return ``value`` with every template in it filled in."""
    if isinstance(value, dict):
        return {name: _filled(iot, one) for name, one in value.items()}
    if isinstance(value, list):
        return [_filled(iot, one) for one in value]
    if not isinstance(value, str):
        return value
    reserved = value.removeprefix("$") if value.startswith("$$") else value
    return _TEMPLATE.sub(lambda found: _value_of(iot, found[1]), reserved)


def _value_of(iot: Seam, expression: str) -> str:
    message = _message.get()
    value = iot["_eval_select_expr"](expression, *message) if message else iot["_MISSING"]
    text = iot["_sql_as_string"](value)
    if text is None:
        raise ValueError(f"${{{expression}}} has no value")
    return str(text)


def _check_role(iot: Seam, account: str, region: str, action: Action) -> None:
    """Raise PermissionError unless the action's role allows it."""
    [(kind, settings)] = action.items()
    wanted = _permission(kind, settings, account, region)
    if wanted is None:
        return
    role = settings.get("roleArn") or ""
    if not iot["_provisioning_role_allows"](role, [wanted]):
        raise PermissionError(f"AccessDenied: role {role} may not {wanted[0]} on {wanted[1]}")


def _permission(
    kind: str, settings: Mapping[str, Any], account: str, region: str
) -> tuple[str, str] | None:
    """Return the IAM action and the resource that a rule action needs."""
    match kind:
        case "republish":
            topic = settings.get("topic", "")
            return "iot:Publish", f"arn:aws:iot:{region}:{account}:topic/{topic}"
        case "dynamoDBv2":
            table = (settings.get("putItem") or {}).get("tableName", "")
            return "dynamodb:PutItem", f"arn:aws:dynamodb:{region}:{account}:table/{table}"
        case "sns":
            return "sns:Publish", settings.get("targetArn", "")
        case "sqs":
            queue = settings.get("queueUrl", "").rpartition("/")[2]
            return "sqs:SendMessage", f"arn:aws:sqs:{region}:{account}:{queue}"
    return None  # a Lambda's own policy decides (`rule_permission`)
