"""More of the rules' SQL: functions, ``IN [...]``, and what is not there is refused.

Functions and operators are those of the developer guide, "AWS IoT SQL reference". MiniStack knows
ten functions; a call of another is dropped from the result with a line in its log. Here a rule
that calls a function which neither AWS nor this module knows is refused when it is made, and so is
one that selects what neither can read, such as a CASE or an object. Functions
of AWS that need a service which is not here (``aws_lambda``, ``get_dynamodb``, ``get_secret``,
``get_thing_shadow``, ``machinelearning_predict``, ``decode`` of protobuf) are refused as well.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from localcloud.gaps._support.rule_functions import FUNCTIONS, UNDEFINED
from localcloud.seam import Seam

_IN_LIST: Final = re.compile(r"\bIN\s*\[((?:'(?:[^']|'')*'|[^'\]])*)\]", re.IGNORECASE)
_WORDS: Final = ("true", "false", "null")
_PROBE: Final = "upper"


def is_open(iot: Seam) -> bool:
    """Whether MiniStack still does not know ``upper``."""
    return _PROBE not in iot["_IMPLEMENTED_SQL_FUNCS"]


def close(iot: Seam) -> None:
    """Know the functions; read ``IN [1, 2]`` as ``IN (1, 2)``; refuse unknown functions."""
    evaluate: Callable[..., Any] = iot["_eval_select_function"]
    where: Callable[[str], str] = iot["_rule_where_clause"]
    validate: Callable[[str], str | None] = iot["_validate_rule_sql"]

    def eval_function(name: str, arguments: Sequence[str], *context: Any) -> Any:
        if name not in FUNCTIONS:
            return evaluate(name, arguments, *context)
        missing = iot["_MISSING"]
        values = [iot["_eval_select_expr"](one, *context) for one in arguments]
        known = [UNDEFINED if value is missing else value for value in values]
        found = FUNCTIONS[name](known)
        return missing if found is UNDEFINED else found

    def where_clause(sql: str) -> str:
        return _IN_LIST.sub(r"IN (\1)", where(sql))

    def validate_sql(sql: str) -> str | None:
        try:
            return validate(sql) or _unknown(iot, sql) or _unreadable(iot, sql)
        except RecursionError:
            return "the local AWS cannot read SQL that nests so deep"

    iot["_eval_select_function"] = eval_function
    iot["_rule_where_clause"] = where_clause
    iot["_validate_rule_sql"] = validate_sql
    iot["_IMPLEMENTED_SQL_FUNCS"] = iot["_IMPLEMENTED_SQL_FUNCS"] | set(FUNCTIONS)


def _unknown(iot: Seam, sql: str) -> str | None:
    names = iot["_unimplemented_sql_functions"](sql)
    return f"the local AWS has no function {names[0]}()" if names else None


def _unreadable(iot: Seam, sql: str) -> str | None:
    """Name what ``sql`` selects and MiniStack would leave out of each result."""
    for item in iot["_split_select_items"](iot["_rule_select_clause"](sql)):
        expression, _alias = iot["_split_select_alias"](item)
        if expression != "*" and not _is_readable(iot, expression):
            return f"the local AWS cannot read {expression} in SELECT"
    return None


def _is_readable(iot: Seam, expression: str) -> bool:
    called = iot["_SELECT_FUNC_RE"].match(expression)
    if called:
        arguments = iot["_split_select_items"](called["args"])
        name, texts = called["name"].lower(), [one.strip() for one in arguments]
        readable = all(one == "*" or _is_readable(iot, one) for one in texts if one)
        return name != "regexp_matches" and readable  # MiniStack has it in WHERE only
    return bool(iot["_valid_where_operand"](expression)) and expression.lower() not in _WORDS
