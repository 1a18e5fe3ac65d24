"""What the page is told: packets with what they mean, and changes of the registry, by number."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Final

from localcloud.errors import LocalCloudError, NoAnswerError
from localcloud.page.story import Story
from localcloud.wire.line import is_refusal

_KEPT: Final = 2000
_MOST_AT_ONCE: Final = 500

Item = dict[str, Any]


class Feed:
    """The latest items; the local AWS is asked for more whenever the page asks."""

    def __init__(self, ask: Callable[[int], object]) -> None:
        """``ask`` returns what the local AWS knows after a number: ``GET watch/NUMBER``."""
        self._ask = ask
        self._lock = threading.Lock()
        self._begin("")

    def _begin(self, run: str) -> None:
        self._run = run
        self._seen = 0
        self._story = Story()
        self._telling: deque[Item] = deque(maxlen=_KEPT)
        """What a device or the registry came to: a flood of other packets does not push it out."""
        self._others: deque[Item] = deque(maxlen=_KEPT)

    def after(self, run: str, number: int) -> dict[str, object]:
        """Return the items after ``number`` of ``run``; of another run, all from its beginning.

        ``is_running`` is false while the local AWS does not answer.
        """
        with self._lock:
            is_running = self._pull()
            first = number if run == self._run else 0
            kept = [*self._telling, *self._others]
            items = [item for item in kept if item["number"] > first]
            items.sort(key=_number)
            told = {"run": self._run, "is_running": is_running, "items": items[:_MOST_AT_ONCE]}
            return {**told, "has_more": len(items) > _MOST_AT_ONCE}

    def _pull(self) -> bool:
        try:
            answer = _checked(self._ask(self._seen))
            if answer["run"] != self._run:
                self._begin(answer["run"])
                answer = _checked(self._ask(0))
        except LocalCloudError:
            return False
        items = [self._packet(event) for event in answer["events"]]
        items += [{"registry": row, "number": row["number"]} for row in answer["registry"]]
        for item in sorted(items, key=_number):
            tells = "mark" in item or "registry" in item
            (self._telling if tells else self._others).append(item)
            self._seen = item["number"]
        return True

    def _packet(self, event: Item) -> Item:
        mark = self._story.mark(event)
        item = {"number": event["number"], "event": event, "is_refusal": is_refusal(event)}
        return item | ({"mark": asdict(mark)} if mark else {})


def _number(item: Item) -> int:
    return int(item["number"])


def _checked(answer: object) -> dict[str, Any]:
    match answer:
        case {"run": str(run), "events": list(events), "registry": list(registry)}:
            return {"run": run, "events": events, "registry": registry}
    raise NoAnswerError(f"the answer does not say what happened: {answer}")
