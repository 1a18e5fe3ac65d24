"""Text into what a setting is: a number where it is a number, and the text itself elsewhere."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from msgspec import inspect

from device.errors import ConfigurationError

Section = dict[str, Any]
"""By key: text, or a `Section`."""

SourceOf = Callable[[str], str]
"""The file, variable or flag that a key, such as ``claim.template``, was set by."""

_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(
    r"[+-]?([0-9]{1,18}(\.[0-9]{0,18})?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?"
)
_NO_NAMES: Final = ("", "{}")
"""How a variable says that a section of your own names, such as claim.parameters, is empty."""
_TRUTH: Final = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Null(str):
    """A value that YAML calls null, such as ``~`` without quotes; as text, what is written."""

    __slots__ = ()


def typed(raw: Section, schema: type, source_of: SourceOf) -> dict[str, object]:
    """Return ``raw`` with each value of the type that ``schema``, a msgspec struct, gives it.

    An empty value, and YAML's null, leave an optional setting unset.

    Raises:
        ConfigurationError: a key is unknown, or its value is of the wrong kind.
    """
    return _Typing(source_of).section(raw, _shape(schema), "")


_shape: Final = lru_cache(maxsize=None)(inspect.type_info)
"""It is the same for each device of a process."""


def leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of each value in ``section``."""
    for name, value in section.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def known_keys(shape: inspect.Type, prefix: str = "") -> Iterator[str]:
    """Yield the dotted name of each setting; a section of your own names ends with a dot."""
    if not isinstance(shape, inspect.StructType):
        yield prefix.removesuffix(".") if not isinstance(shape, inspect.DictType) else prefix
        return
    for field in shape.fields:
        yield from known_keys(field.type, f"{prefix}{field.encode_name}.")


class _Typing:
    def __init__(self, source_of: SourceOf) -> None:
        self._source_of = source_of

    def section(self, raw: Section, shape: inspect.Type, parent: str) -> dict[str, object]:
        fields = shape.fields if isinstance(shape, inspect.StructType) else ()
        types = {field.encode_name: field.type for field in fields}
        found: dict[str, object] = {}
        for name, value in raw.items():
            key = f"{parent}{name}"
            if name not in types:
                source = self._source_of(next(leaves({key: value}), key))
                known = f"Known keys here: {', '.join(types)}."
                step = did_you_mean(name, types, known)
                raise ConfigurationError(source, key, "unknown key", step)
            made = self._value(value, types[name], key)
            if made is not None:
                found[name] = made
        return found

    def _value(self, value: object, shape: inspect.Type, key: str) -> object:
        if isinstance(shape, inspect.DictType) and value in _NO_NAMES:
            return {}
        if isinstance(shape, inspect.StructType | inspect.DictType):
            if not isinstance(value, dict):
                raise self._wrong(key, "is a section; set the keys in it, not the section itself")
            if isinstance(shape, inspect.StructType):
                return self.section(value, shape, f"{key}.")
            return {name: self._text(text, f"{key}.{name}") for name, text in value.items()}
        text = self._text(value, key)
        if isinstance(shape, inspect.UnionType):
            if isinstance(value, Null) or not text:
                return None
            shape = next(each for each in shape.types if not isinstance(each, inspect.NoneType))
        return self._scalar(text, shape, key)

    def _text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(key, "is one value, not a section; put text with { or : in quotes")
        return str(value)

    def _scalar(self, text: str, shape: inspect.Type, key: str) -> object:
        match shape:
            case inspect.IntType():
                if not _WHOLE.fullmatch(text):
                    raise self._wrong(key, f"{text!r} is not a whole number")
                return int(text)
            case inspect.FloatType():
                if not _NUMBER.fullmatch(text):
                    raise self._wrong(key, f"{text!r} is not a number")
                return float(text)
            case inspect.BoolType():
                if text.lower() not in _TRUTH:
                    raise self._wrong(key, f"{text!r} is not true or false")
                return _TRUTH[text.lower()]
        return text

    def _wrong(self, key: str, problem: str) -> ConfigurationError:
        return ConfigurationError(self._source_of(key), key, problem)


def did_you_mean(name: str, known: Iterable[str], otherwise: str) -> str:
    """Return a question that offers the nearest of ``known``, or ``otherwise`` if none is near."""
    import difflib  # noqa: PLC0415 - only a slip needs it

    near = difflib.get_close_matches(name, list(known), 1)
    return f"Did you mean {near[0]}?" if near else otherwise
