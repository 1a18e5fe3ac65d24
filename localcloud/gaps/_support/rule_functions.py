"""Functions of the rules' SQL, of values alone (developer guide, "AWS IoT SQL functions").

Each takes the values of its arguments. `UNDEFINED` in, or a kind that cannot be converted, gives
`UNDEFINED`, as the guide's tables say.
"""

import hashlib
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

UNDEFINED: Final = object()

Function = Callable[[Sequence[Any]], Any]


def _text(value: object) -> str | None:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
    return None


def _number(value: object) -> int | float | None:
    match value:
        case bool():
            return None
        case int() | float():
            return value
        case str() if re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", value.strip()):
            number = float(value)
            return int(number) if number.is_integer() and "." not in value else number
    return None


def _of_texts(function: Callable[..., Any], *counts: int) -> Function:
    def call(values: Sequence[Any]) -> Any:
        texts = [_text(value) for value in values]
        if len(texts) not in counts or None in texts:
            return UNDEFINED
        try:
            return function(*texts)
        except re.error:
            return UNDEFINED

    return call


def _of_numbers(function: Callable[..., Any], *counts: int) -> Function:
    def call(values: Sequence[Any]) -> Any:
        numbers = [_number(value) for value in values]
        if len(numbers) not in counts or None in numbers:
            return UNDEFINED
        try:
            return function(*numbers)
        except (ValueError, ZeroDivisionError, OverflowError):
            return UNDEFINED

    return call


def _concat(values: Sequence[Any]) -> Any:
    if any(isinstance(value, list) for value in values):
        joined: list[Any] = []
        for value in values:
            joined += value if isinstance(value, list) else [value]
        return joined
    texts = [text for value in values if (text := _text(value)) is not None]
    return "".join(texts) if texts else UNDEFINED


def _substring(values: Sequence[Any]) -> Any:
    text, *positions = values or [None]
    found, numbers = _text(text), [_number(one) for one in positions]
    if found is None or None in numbers or len(numbers) not in {1, 2}:
        return UNDEFINED
    start, *end = [max(int(one or 0), 0) for one in numbers]
    return found[start : end[0] if end else None]


def _indexof(text: str, part: str) -> int:
    return text.find(part)


def _get(values: Sequence[Any]) -> Any:
    match values:
        case [list() | str() as items, int() as index] if 0 <= index < len(items):
            return items[index]
        case [dict() as items, str() as name] if name in items:
            return items[name]
    return UNDEFINED


def _pad(text: str, count: str, *, left: bool) -> Any:
    size = _number(count)
    spaces = " " * int(size) if size is not None and size > 0 else ""
    return spaces + text if left else text + spaces


def _digest(name: str) -> Function:
    return _of_texts(lambda text: hashlib.new(name, text.encode()).hexdigest(), 1)


def _parse_time(values: Sequence[Any]) -> Any:
    pattern, stamp, *_zone = [*values, None, None]
    number = _number(stamp)
    if not isinstance(pattern, str) or number is None:
        return UNDEFINED
    moment = datetime.fromtimestamp(number / 1000, UTC)
    for letters, code in _JODA:
        pattern = re.sub(letters, code, pattern)
    return moment.strftime(pattern).replace("'", "")


_JODA: Final = (
    ("yyyy", "%Y"),
    ("MM", "%m"),
    ("dd", "%d"),
    ("HH", "%H"),
    ("mm", "%M"),
    ("ss", "%S"),
    (r"(?<!%)z", "UTC"),
)


def _is_kind(check: Callable[[Any], bool]) -> Function:
    return lambda values: len(values) == 1 and check(values[0])


FUNCTIONS: Final[Mapping[str, Function]] = {
    "abs": _of_numbers(abs, 1),
    "acos": _of_numbers(math.acos, 1),
    "asin": _of_numbers(math.asin, 1),
    "atan": _of_numbers(math.atan, 1),
    "bitand": _of_numbers(lambda one, other: int(one) & int(other), 2),
    "bitnot": _of_numbers(lambda one: ~int(one), 1),
    "bitor": _of_numbers(lambda one, other: int(one) | int(other), 2),
    "bitxor": _of_numbers(lambda one, other: int(one) ^ int(other), 2),
    "ceil": _of_numbers(math.ceil, 1),
    "chr": _of_numbers(lambda code: chr(int(code)), 1),
    "concat": _concat,
    "cos": _of_numbers(math.cos, 1),
    "endswith": _of_texts(str.endswith, 2),
    "exp": _of_numbers(math.exp, 1),
    "floor": _of_numbers(math.floor, 1),
    "get": _get,
    "indexof": _of_texts(_indexof, 2),
    "isnull": _is_kind(lambda value: value is None),
    "length": _of_texts(len, 1),
    "ln": _of_numbers(math.log, 1),
    "log": _of_numbers(math.log10, 1),
    "lower": _of_texts(str.lower, 1),
    "lpad": _of_texts(lambda text, size: _pad(text, size, left=True), 2),
    "ltrim": _of_texts(str.lstrip, 1),
    "md5": _digest("md5"),
    "mod": _of_numbers(math.fmod, 2),
    "nanvl": _of_numbers(lambda one, other: other if math.isnan(one) else one, 2),
    "numbytes": _of_texts(lambda text: len(text.encode()), 1),
    "parse_time": _parse_time,
    "power": _of_numbers(math.pow, 2),
    "rand": lambda _values: random.random(),  # noqa: S311  # nosec B311
    "regexp_replace": _of_texts(lambda text, find, put: re.sub(find, put, text), 3),
    "regexp_substr": _of_texts(
        lambda text, find: found[0] if (found := re.search(find, text)) else None, 2
    ),
    "remainder": _of_numbers(math.remainder, 2),
    "round": _of_numbers(lambda one: math.floor(one + 0.5), 1),
    "rpad": _of_texts(lambda text, size: _pad(text, size, left=False), 2),
    "rtrim": _of_texts(str.rstrip, 1),
    "sha1": _digest("sha1"),
    "sha224": _digest("sha224"),
    "sha256": _digest("sha256"),
    "sha384": _digest("sha384"),
    "sha512": _digest("sha512"),
    "sign": _of_numbers(lambda one: (one > 0) - (one < 0), 1),
    "sin": _of_numbers(math.sin, 1),
    "sqrt": _of_numbers(math.sqrt, 1),
    "startswith": _of_texts(str.startswith, 2),
    "substring": _substring,
    "tan": _of_numbers(math.tan, 1),
    "trim": _of_texts(str.strip, 1),
    "trunc": _of_numbers(lambda one, places: math.trunc(one * 10**places) / 10**places, 2),
    "upper": _of_texts(str.upper, 1),
}
