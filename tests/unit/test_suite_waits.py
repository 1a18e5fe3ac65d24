"""No test waits without a limit, since a run that hangs shows nothing, not even which test hangs.

pytest-timeout ends a test that takes too long, but not the ``finally`` in which it then waits.
"""

import ast
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import hang

TESTS = Path(__file__).parents[1]
WITHOUT_ARGUMENTS = {"join", "wait", "result", "acquire", "exception"}
"""Methods that wait for ever if nobody says how long."""

WITHOUT_TIMEOUT = {"communicate", "urlopen", "check_call", "check_output"}
POSITIONAL = {"create_connection": 2}
"""Functions that take a time-out, and at which place."""


def endless_waits(text: str) -> Iterator[str]:
    """Yield the calls in a module that may wait for ever."""
    nodes = list(ast.walk(ast.parse(text)))
    awaited = [node.value for node in nodes if isinstance(node, ast.Await)]  # limited by its loop
    for node in nodes:
        if isinstance(node, ast.Call) and node not in awaited and is_endless(node):
            yield f"{node.lineno}: {ast.unparse(node.func)}"


def is_endless(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    named = {each.arg for each in call.keywords}
    if ast.unparse(call.func) == "subprocess.run" or name in WITHOUT_TIMEOUT:
        return not named & {"timeout", None}
    if name in POSITIONAL:
        return "timeout" not in named and len(call.args) < POSITIONAL[name]
    is_method = isinstance(call.func, ast.Attribute)
    return is_method and name in WITHOUT_ARGUMENTS and not call.args and not named


@pytest.mark.parametrize("folder", sorted(each.name for each in TESTS.iterdir() if each.is_dir()))
def test_every_wait_of_a_test_has_a_limit(folder: str) -> None:
    found = [
        f"{path.relative_to(TESTS)}:{wait}"
        for path in (TESTS / folder).rglob("*.py")
        for wait in endless_waits(path.read_text())
    ]
    assert found == [], "give it a time-out: tests/support/hang.py"


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("thread.join()", True),
        ("thread.join(SECONDS)", False),
        ("', '.join(words)", False),
        ("future.result()", True),
        ("process.wait(timeout=5)", False),
        ("subprocess.run(command)", True),
        ("subprocess.run(command, timeout=SECONDS)", False),
        ("socket.create_connection(address)", True),
        ("socket.create_connection(address, 5)", False),
        ("process.communicate('')", True),
    ],
)
def test_a_wait_without_a_limit_is_found(text: str, is_found: bool) -> None:
    assert bool(list(endless_waits(text))) is is_found


def test_a_thread_that_does_not_end_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.01)
    end = threading.Event()
    thread = threading.Thread(target=end.wait, args=(60,), name="the slow one", daemon=True)
    thread.start()
    with pytest.raises(AssertionError, match="the slow one still runs"):
        hang.join(thread)
    end.set()


def test_what_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.01)
    with pytest.raises(AssertionError, match="not yet so that pigs fly"):
        hang.until(lambda: False, "pigs fly")


def test_a_process_that_says_nothing_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hang, "SECONDS", 0.01)
    with (
        subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as process,
        pytest.raises(AssertionError, match=r"said nothing.*sleep"),
    ):
        hang.line_from(process, process.stdout)
    assert process.returncode != 0


def test_a_line_of_a_process_is_returned() -> None:
    command = ["echo", "ready"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert hang.line_from(process, process.stdout) == "ready\n"
