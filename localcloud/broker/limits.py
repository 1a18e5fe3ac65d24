"""What AWS IoT Core's message broker does not take (AWS general reference, "AWS IoT Core quotas").

The quotas page could not be read when this was written; the numbers are those of copies of it,
and of the developer guide's MQTT page (reference: foreign-clients, D10 and D12). Each function
says which limit is broken, or returns None.
"""

from typing import Final

LARGEST_PAYLOAD: Final = 128 * 1024
LARGEST_PACKET: Final = 149_504
LONGEST_TOPIC: Final = 256  # bytes of UTF-8
MOST_SLASHES: Final = 7
MOST_FILTERS: Final = 8  # in one SUBSCRIBE
MOST_SUBSCRIPTIONS: Final = 50  # of one connection
LONGEST_CLIENT_ID: Final = 128  # bytes of UTF-8
MOST_IN_FLIGHT: Final = 100  # unacknowledged QoS 1 messages, each way
MOST_ALIASES: Final = 8
MOST_QUEUED: Final = 1000  # ours: AWS publishes a rate, not a number
LONGEST_SESSION: Final = 604_800  # seconds
SESSION_311: Final = 3600  # seconds a persistent session of 3.1.1 is kept
LONGEST_KEEP_ALIVE: Final = 1200  # seconds, and what AWS takes for 0
_BASIC_INGEST: Final = "$aws/rules/"
_RESERVED: Final = "$aws/"
_SHARED: Final = "$share/"
_SHARED_PARTS: Final = 3


def keep_alive_of(asked: int, least: int) -> int:
    """Return the seconds of silence that are allowed a client that ``asked`` for some.

    AWS counts fewer than ``least``, 30, as 30, and takes 1200 for 0 and for more than 1200.
    """
    if not 0 < asked <= LONGEST_KEEP_ALIVE:
        return LONGEST_KEEP_ALIVE
    return max(asked, least)


def client_id_error(client_id: str) -> str | None:
    """Say what is wrong with a client id."""
    if len(client_id.encode()) > LONGEST_CLIENT_ID:
        return f"the client id has more than {LONGEST_CLIENT_ID} bytes"
    return None


def topic_error(topic: str) -> str | None:
    """Say what is wrong with a topic that is published to."""
    if not topic:
        return "the topic is empty"
    if "+" in topic or "#" in topic:
        return "the topic contains a wildcard"
    return _size_error(topic)


def payload_error(payload: bytes) -> str | None:
    """Say what is wrong with a payload."""
    if len(payload) > LARGEST_PAYLOAD:
        return f"the payload has {len(payload)} bytes, more than {LARGEST_PAYLOAD}"
    return None


def filter_error(topic_filter: str) -> str | None:
    """Say what is wrong with a topic filter."""
    wanted = topic_filter
    if topic_filter.startswith(_SHARED):
        parts = topic_filter.split("/", 2)
        if len(parts) < _SHARED_PARTS or not parts[1] or "+" in parts[1] or "#" in parts[1]:
            return "the filter is not $share/NAME/FILTER"
        wanted = parts[2]
    if not wanted:
        return "the topic filter is empty"
    levels = wanted.split("/")
    if any("#" in level for level in levels[:-1]) or "#" in levels[-1][1:] + levels[-1][:-1]:
        return "# is not the last level"
    if any("+" in level and level != "+" for level in levels):
        return "+ is not a level of its own"
    return _size_error(wanted)


def _size_error(topic: str) -> str | None:
    counted = topic
    if topic.startswith(_BASIC_INGEST):  # $aws/rules/NAME/ does not count
        counted = topic.removeprefix(_BASIC_INGEST).partition("/")[2]
    if len(counted.encode()) > LONGEST_TOPIC:
        return f"the topic has more than {LONGEST_TOPIC} bytes"
    # AWS's own topics have up to eight slashes ($aws/commands/...).
    if counted.count("/") > MOST_SLASHES and not counted.startswith(_RESERVED):
        return f"the topic has more than {MOST_SLASHES} slashes"
    return None
