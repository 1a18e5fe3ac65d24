"""The book-keeping of faults: whom they strike, how often, and what is refused."""

from collections.abc import Callable
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcloud.errors import FAULT
from localcloud.faults.board import FaultBoard
from localcloud.faults.kinds import (
    AnyFault,
    CutAfterPacket,
    DropReply,
    ExpireTokens,
    RefuseConnect,
    Reject,
    Throttle,
    parse_fault,
)
from tests.support.errors import raises, suppressed


def test_defaults_strike_anybody_once() -> None:
    assert parse_fault(b'{"kind": "reject"}') == Reject(
        client_id="*",
        count=1,
        operation="*",
        status_code=500,
        error_code="InternalFailure",
        error_message="A fault was switched on.",
    )


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "truncated"),
        (b"[]", "object"),
        (b"{}", "kind"),
        (b'{"kind": "explode"}', "explode"),
        (b'{"kind": "reject", "operation": "all"}', "$.operation"),
        (b'{"kind": "reject", "statuscode": 400}', "statuscode"),
        (b'{"kind": "reject", "count": 0}', "$.count"),
        (b'{"kind": "delay-reply"}', "seconds"),
        (b'{"kind": "delay-reply", "seconds": -1}', "$.seconds"),
        (b'{"kind": "refuse-connect", "reason_code": 0}', "$.reason_code"),
        (b'{"kind": "cut-after-packet", "packets": 0}', "$.packets"),
    ],
)
def test_nonsense_is_refused_by_name(body: bytes, named: str) -> None:
    with raises(FAULT) as refused:
        parse_fault(body)
    assert named in str(refused.value)


@given(body=st.binary())
def test_any_bytes_are_a_fault_or_refused(body: bytes) -> None:
    with suppressed(FAULT):
        parse_fault(body)


@pytest.mark.parametrize("kind", get_args(AnyFault))
def test_every_kind_is_listed_as_it_was_sent(kind: type[AnyFault]) -> None:
    required = {"seconds": 1.0, "packets": 1}
    names = {field.name for field in msgspec.structs.fields(kind) if field.required}
    sent = {"kind": kind.__struct_config__.tag} | {name: required[name] for name in names}
    board = FaultBoard()
    number = board.switch_on(parse_fault(msgspec.json.encode(sent)))
    (listed,) = board.listed()
    assert listed["id"] == number
    assert sent.items() <= listed.items()


@given(count=st.integers(1, 20), asked=st.integers(0, 30))
def test_a_fault_strikes_as_often_as_it_says(count: int, asked: int) -> None:
    board = FaultBoard()
    board.switch_on(DropReply(count=count))
    struck = [board.take(DropReply, "a") is not None for _ in range(asked)]
    assert struck == [number < count for number in range(asked)]
    assert bool(board.listed()) == (asked < count)


def test_a_fault_without_count_strikes_until_switched_off() -> None:
    board = FaultBoard()
    board.switch_on(DropReply(count=None))
    assert all(board.take(DropReply, "a") for _ in range(100))
    board.switch_off()
    assert board.take(DropReply, "a") is None


@pytest.mark.parametrize(
    ("pattern", "struck"),
    [("*", True), ("claim-*", True), ("claim-1", True), ("claim-?", True), ("Claim-1", False)],
)
def test_clients_are_named_by_pattern(pattern: str, *, struck: bool) -> None:
    board = FaultBoard()
    board.switch_on(DropReply(client_id=pattern))
    assert (board.take(DropReply, "claim-1") is not None) == struck


def test_a_fault_that_does_not_fit_is_not_used_up() -> None:
    board = FaultBoard()
    board.switch_on(CutAfterPacket(packets=3))
    assert board.take(CutAfterPacket, "a", lambda fault: fault.packets == 2) is None
    assert board.take(RefuseConnect, "a") is None
    assert board.take(CutAfterPacket, "a", lambda fault: fault.packets == 3) is not None


def test_the_first_that_fits_strikes() -> None:
    board = FaultBoard()
    board.switch_on(Reject(error_code="First"))
    board.switch_on(Reject(error_code="Second"))
    struck = [board.take(Reject, "a"), board.take(Reject, "a")]
    assert [fault.error_code for fault in struck if fault] == ["First", "Second"]


def test_switching_off_what_is_not_on_is_refused() -> None:
    with raises(FAULT, match="7"):
        FaultBoard().switch_off(7)


def test_a_crowd_that_asks_again_and_again_still_gets_its_rate() -> None:
    now = 0.0
    board = FaultBoard(lambda: now)
    board.switch_on(Throttle(per_second=10))
    passed = 0
    for _ in range(500):  # 50 requests a second for ten seconds
        passed += not board.take(Throttle, "a")
        now += 0.02
    assert 95 <= passed <= 105


def test_throttle_lets_so_many_a_second_pass() -> None:
    now = 0.0
    clock: Callable[[], float] = lambda: now  # noqa: E731  (reads the variable of this test)
    board = FaultBoard(clock)
    board.switch_on(Throttle(per_second=2))
    assert [bool(board.take(Throttle, "a")) for _ in range(3)] == [False, False, True]
    now = 1.5
    assert not board.take(Throttle, "a")


def test_tokens_expire_after_an_hour() -> None:
    assert ExpireTokens().seconds == 3600
