"""What the broker writes to a client: after its cause is on disk, and together."""

import asyncio
from typing import Any

from localcloud.durable.broker import KeepingWriter


class Notes:
    """A writer and a keeper that note what they were asked for."""

    def __init__(self) -> None:
        self.done: list[object] = []
        self.is_over = False

    def keep(self) -> None:
        self.done.append("kept")

    def write(self, data: bytes) -> None:
        self.done.append(data)

    def close(self) -> None:
        self.done.append("closed")
        self.is_over = True

    def is_closing(self) -> bool:
        return self.is_over


def written(do: Any) -> list[object]:
    notes = Notes()
    keeper: Any = notes

    async def turn() -> None:
        do(KeepingWriter(notes, keeper))
        await asyncio.sleep(0)

    asyncio.run(turn())
    return notes.done


def test_what_is_written_in_one_turn_leaves_together_when_all_is_kept() -> None:
    def two(writer: KeepingWriter) -> None:
        writer.write(b"PUBLISH")
        writer.write(b"PUBACK")

    assert written(two) == ["kept", "kept", b"PUBLISHPUBACK"]


def test_nothing_is_lost_when_the_connection_is_closed_at_once() -> None:
    def last(writer: KeepingWriter) -> None:
        writer.write(b"DISCONNECT")
        writer.close()

    assert written(last) == ["kept", b"DISCONNECT", "closed"]


def test_nothing_is_written_to_a_connection_that_is_closed() -> None:
    def late(writer: KeepingWriter) -> None:
        writer.close()
        writer.write(b"PUBLISH")

    assert written(late) == ["closed", "kept"]
