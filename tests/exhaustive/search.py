"""Every state that a device, its storage and its cloud can get into, and the way home from each.

A walk over the real machine, the real `FirstBoot` with its storage, and the cloud in memory. A
`Node` is what all three are between two events. A *move* is what may happen next: what an honest
cloud does, a packet that is lost before or after the cloud took it, a lie, a power cut, an hour
that passes, a certificate that someone deletes. Nodes that differ in names alone are one: the
first certificate and the fifth are alike, as are the second orphan and the third.
"""

from collections import Counter, deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Protocol

HONEST = "honest"
"""The move of a cloud that does its duty, of time that passes, of a person who boots again."""


class Node(Protocol):
    """What machine, storage and cloud are, between two events."""

    @property
    def key(self) -> Hashable:
        """Equal for nodes from which the same can happen."""
        ...

    @property
    def is_home(self) -> bool:
        """Whether the device is proven."""
        ...

    def moves(self) -> list[str]:
        """Return the names of what may happen next."""
        ...

    def after(self, move: str, /) -> "Node":
        """Return the node after ``move``; this one is left as it is."""
        ...

    def broken_rules(self) -> list[str]:
        """Return what must never be the case, and is."""
        ...


@dataclass
class Found:
    """What a walk has seen."""

    nodes: int = 0
    edges: int = 0
    homes: int = 0
    stuck: list[str] = field(default_factory=list)
    """Ways to nodes from which an honest cloud does not lead home."""
    broken: list[str] = field(default_factory=list)
    """Ways to nodes that break a rule."""
    longest_way: int = 0
    """The most honest moves that any node is away from home."""
    moves: Counter[str] = field(default_factory=Counter)
    complete: bool = True


def search(start: Node, *, most_hostile: int | None = None, goes_on_at_home: bool = False) -> Found:
    """Walk over every node that is reachable with ``most_hostile`` moves that are not honest.

    With ``goes_on_at_home`` a device that is home may be struck again.
    """
    walk = _Walk(start, most_hostile, goes_on=goes_on_at_home)
    walk.run()
    return walk.verdict()


class _Walk:
    def __init__(self, start: Node, most_hostile: int | None, *, goes_on: bool) -> None:
        self._goes_on = goes_on
        self._most_hostile = most_hostile
        self._ways: dict[Hashable, tuple[Hashable | None, str]] = {start.key: (None, "power")}
        self._hostile: dict[Hashable, int] = {start.key: 0}
        self._honest: dict[Hashable, Hashable] = {}
        self._homes: set[Hashable] = set()
        self._found = Found()
        self._queue: deque[Node] = deque([start])

    def run(self) -> None:
        while self._queue:
            node = self._queue.popleft()
            key = node.key
            self._found.broken += [f"{rule}: {self._way(key)}" for rule in node.broken_rules()]
            if node.is_home:
                self._homes.add(key)
                if not self._goes_on:
                    continue
            for move in self._allowed(node):
                self._step(node, key, move)

    def _allowed(self, node: Node) -> Iterator[str]:
        spent = self._hostile[node.key]
        for move in node.moves():
            if move == HONEST or self._most_hostile is None or spent < self._most_hostile:
                yield move
            else:
                self._found.complete = False

    def _step(self, node: Node, key: Hashable, move: str) -> None:
        reached = node.after(move)
        there, spent = reached.key, self._hostile[key] + (move != HONEST)
        self._found.edges += 1
        self._found.moves[move] += 1
        if move == HONEST:
            self._honest[key] = there
        if there not in self._hostile:
            self._ways[there] = (key, move)
        elif spent >= self._hostile[there]:
            return
        self._hostile[there] = spent
        self._queue.append(reached)

    def verdict(self) -> Found:
        """Follow the honest moves from each node: they lead home, or round and round."""
        self._found.nodes, self._found.homes = len(self._hostile), len(self._homes)
        for key in self._hostile:
            steps = self._steps_home(key)
            if steps is None:
                self._found.stuck.append(self._way(key))
            else:
                self._found.longest_way = max(self._found.longest_way, steps)
        return self._found

    def _steps_home(self, key: Hashable) -> int | None:
        seen: set[Hashable] = set()
        while key not in self._homes:
            if key in seen or key not in self._honest:
                return None
            seen.add(key)
            key = self._honest[key]
        return len(seen)

    def _way(self, key: Hashable) -> str:
        moves: list[str] = []
        at: Hashable | None = key
        while at is not None:
            at, move = self._ways[at]
            moves.append(move)
        runs = [(move, len(list(run))) for move, run in groupby(reversed(moves))]
        return " > ".join(move if count == 1 else f"{move} x {count}" for move, count in runs)
