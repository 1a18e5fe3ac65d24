"""The statements of a policy, taken apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from factory.lint.document import Document, Json, elements, member

_ARN: Final = re.compile(r"arn:[^:]*:(?P<service>[^:]*):[^:]*:[^:]*:(?P<resource>.+)", re.DOTALL)


@dataclass(frozen=True)
class Statement:
    """One statement; actions and resources with their paths."""

    content: Json
    path: str

    @property
    def allows(self) -> bool:
        """Whether its effect is Allow; what is denied may be as wide as one likes."""
        return member(self.content, "Effect") == "Allow"

    @property
    def actions(self) -> list[tuple[str, str]]:
        """Path and name of each action."""
        return self._texts("Action")

    @property
    def resources(self) -> list[tuple[str, str]]:
        """Path and ARN of each resource."""
        return self._texts("Resource")

    def has(self, action: str) -> bool:
        """Whether it is about ``action``, outright or by a wildcard."""
        return any(covers(pattern.lower(), action.lower()) for _, pattern in self.actions)

    def _texts(self, name: str) -> list[tuple[str, str]]:
        found = elements(member(self.content, name), f"{self.path}.{name}")
        return [(path, text) for path, text in found if isinstance(text, str)]


def statements_of(document: Document) -> Iterator[Statement]:
    """Yield the statements of a policy."""
    found = elements(member(document.content, "Statement"), f"{document.path}.Statement")
    for path, content in found:
        yield Statement(content, path)


def iot_resource(arn: str) -> str:
    """Return what an ARN of AWS IoT names, such as ``client/x``; an ARN of another kind whole."""
    found = _ARN.fullmatch(arn)
    return found["resource"] if found else arn


def resources_of(document: Document, action: str, kind: str) -> Iterator[tuple[str, str]]:
    """Yield path and name of each ``kind`` (such as ``topic``) that ``action`` is allowed on."""
    for statement in statements_of(document):
        if not statement.allows or not statement.has(action):
            continue
        for path, arn in statement.resources:
            resource = iot_resource(arn)
            if resource == "*":
                yield path, "*"
            elif resource.startswith(f"{kind}/"):
                yield path, resource.removeprefix(f"{kind}/")


def covers(pattern: str, text: str) -> bool:
    """Tell whether a policy's ``pattern`` fits ``text``: ``*`` crosses slashes, ``?`` is one."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, text, re.DOTALL) is not None


def meets(pattern: str, topic_filter: str) -> bool:
    """Tell whether a topic can fit both a policy's ``pattern`` and ``topic_filter``.

    ``+`` and ``#`` of the filter are taken for ``*``: rather too much meets than too little.
    """
    wide = re.sub(r"/#\Z", "*", topic_filter).replace("+", "*").replace("#", "*")
    return _meet(pattern, wide)


def _meet(one: str, other: str) -> bool:
    """Tell whether a text fits both patterns: all ways are followed at once."""
    reached = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        left, right = todo.pop()
        for step in _steps(one[left : left + 1], other[right : right + 1]):
            place = (left + step[0], right + step[1])
            if place not in reached:
                reached.add(place)
                todo.append(place)
    return (len(one), len(other)) in reached


def _steps(one: str, other: str) -> list[tuple[int, int]]:
    """Return how far both patterns go on for one character of the text, or for none."""
    steps = [(1, 0)] if one == "*" else []
    steps += [(0, 1)] if other == "*" else []
    if one and other and (one == other or one in "*?" or other in "*?"):
        steps.append((one != "*", other != "*"))
    return steps
