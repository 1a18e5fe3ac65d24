"""A settings file as sections and text: no scalar of it is interpreted here.

YAML 1.1 reads ``NO`` as false, ``0012`` as ten and ``12:34:56`` as 45296. In the settings each
value is what is written, and becomes a number only where the setting is one (`typed`).
Anchors, tags and several documents are refused: the settings need none of them, and they are how
YAML is made to grow without bound or to refer to itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import yaml

from device.config.regular_file import read_regular_file
from device.config.typed import Null, Section
from device.errors import ConfigurationError

MAX_BYTES: Final = 65_536
"""Sixteen times the longest file in config/."""
MAX_DEPTH: Final = 8
"""The settings have three levels."""

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})  # YAML 1.1, "null"


def read_settings_file(path: Path) -> Section:
    """Return the keys of ``path`` with their values as they are written.

    Raises:
        ConfigurationError: it cannot be read, or is not YAML of the kind that settings are; the
            line is named.
    """
    step = "Name one with --config; config/ has one per method."
    content = read_regular_file(path, max_bytes=MAX_BYTES, next_step=step)
    try:
        return _Reader(str(path)).document(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        problem = f"is not UTF-8 text (byte {error.start})"
        raise ConfigurationError(str(path), "", problem) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        problem = f"is not YAML: {where}{error.problem or error.context}"
        raise ConfigurationError(str(path), "", problem) from None
    except yaml.YAMLError as error:
        problem = f"is not YAML: {' '.join(str(error).split())}"
        raise ConfigurationError(str(path), "", problem) from None


class _Reader:
    """Builds the sections from YAML's events; no constructor and no resolver is involved."""

    def __init__(self, source: str) -> None:
        self._source = source

    def document(self, text: str) -> Section:
        self._events: Iterator[yaml.Event] = yaml.parse(text, Loader=_LOADER)
        content: object = Null()
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                content = self._value(next(self._events), "", 0)
                break
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                raise self._refused(event, "", "there is a second YAML document; use one")
        if isinstance(content, dict):
            return content
        if isinstance(content, Null):
            raise ConfigurationError(self._source, "", "is empty")
        raise ConfigurationError(self._source, "", "holds text, not keys and values")

    def _value(self, event: yaml.Event, key: str, depth: int) -> object:
        self._check_plain(event, key)
        if isinstance(event, yaml.ScalarEvent):
            is_null = event.implicit[0] and event.value in _NULLS  # without quotes
            return Null(event.value) if is_null else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            problem = "there is a list, but no setting is a list; put text with a [ in quotes"
            raise self._refused(event, key, problem)
        if depth == MAX_DEPTH:
            raise self._refused(event, key, f"sections are nested more than {MAX_DEPTH} deep")
        return self._section(key, depth)

    def _section(self, parent: str, depth: int) -> Section:
        section: Section = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            self._check_plain(event, parent)
            if not isinstance(event, yaml.ScalarEvent):
                raise self._refused(event, parent, "a key is not text")
            key = f"{parent}.{event.value}" if parent else event.value
            if event.value in section:
                raise self._refused(event, key, "is set twice in this file")
            section[event.value] = self._value(next(self._events), key, depth + 1)
        return section

    def _check_plain(self, event: yaml.Event, key: str) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._refused(
                event, key, "anchors (&) and aliases (*) are not allowed in settings"
            )
        if getattr(event, "tag", None):
            raise self._refused(event, key, "tags (!) are not allowed in settings")

    def _refused(self, event: yaml.Event, key: str, problem: str) -> ConfigurationError:
        mark = event.start_mark
        line = mark.line + 1 if mark else 0
        return ConfigurationError(self._source, key, f"line {line}: {problem}")
