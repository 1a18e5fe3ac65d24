"""What the page is told: in order, each once, and all again when the local AWS starts again."""

from typing import Any

from localcloud.durable.journal import Change
from localcloud.page.feed import Feed
from localcloud.wire.registry_log import RegistryLog

PING = {"packet": "PINGREQ", "connection": 1, "by": "device"}
PLACE = ("000000000000", "eu-central-1")


class Cloud:
    """Answers as ``GET watch/NUMBER`` does."""

    def __init__(self) -> None:
        self.run = "1.0"
        self.events: list[dict[str, Any]] = []
        self.registry: list[dict[str, Any]] = []

    def ask(self, after: int) -> object:
        events, rows = (
            [each for each in these if each["number"] > after]
            for these in (self.events, self.registry)
        )
        return {"run": self.run, "events": events, "registry": rows}


def numbers(told: dict[str, Any]) -> list[int]:
    return [item["number"] for item in told["items"]]


def test_each_item_is_told_once_and_in_order() -> None:
    cloud = Cloud()
    cloud.events = [{**PING, "number": 1}, {**PING, "number": 3}]
    cloud.registry = [{"kind": "thing", "number": 2}]
    feed = Feed(cloud.ask)
    assert numbers(feed.after("1.0", 0)) == [1, 2, 3]
    cloud.events.append({**PING, "number": 4})
    assert numbers(feed.after("1.0", 3)) == [4]


def test_of_another_run_everything_is_told() -> None:
    cloud = Cloud()
    cloud.events = [{**PING, "number": number} for number in range(1, 6)]
    feed = Feed(cloud.ask)
    feed.after("1.0", 0)
    cloud.run, cloud.events = "2.0", cloud.events[:2]
    told = feed.after("1.0", 5)
    assert (told["run"], numbers(told)) == ("2.0", [1, 2])


def test_a_flood_pushes_out_no_change_of_the_registry() -> None:
    cloud = Cloud()
    cloud.registry = [{"kind": "thing", "number": 1}]
    cloud.events = [{**PING, "number": number} for number in range(2, 2503)]
    told = Feed(cloud.ask).after("1.0", 0)
    assert (numbers(told)[:2], told["has_more"]) == ([1, 503], True)


def test_the_registry_is_told_in_names_and_states() -> None:
    log = RegistryLog(iter(range(1, 9)).__next__)
    certificate = {"status": "ACTIVE", "certificatePem": "secret", "attachedPolicies": ["P"]}
    for store, key, record in (
        ("certificates", "0123456789abcdef", certificate),
        ("policies", "P", {"targets": ["arn:aws:iot:eu-central-1:000000000000:thinggroup/G"]}),
        ("ownership_tokens", "token", {}),
    ):
        log.note(Change("iot", store, (*PLACE, key), record, is_gone=False))
    told = [(row["kind"], row["name"], row["words"]) for row in log.listed()]
    assert told == [("certificate", "0123456789ab", ["ACTIVE", "policy P"]), ("policy", "P", [])]
