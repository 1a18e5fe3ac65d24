"""PASS or FAIL of each device, for a person on the line: big, one line a device, and a count."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from factory.errors import EXTRA_MISSING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Screen(Protocol):
    """Told of each device when it is done."""

    def show(self, serial_number: str, words: str, *, is_good: bool) -> None:
        """Show the result of one device, and what is to be known of it."""
        ...


class PlainScreen:
    """A `Screen` in lines, for a log or a pipe."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Hand each line to ``write``."""
        self._write = write

    def show(self, serial_number: str, words: str, *, is_good: bool) -> None:
        """Write one line."""
        self._write(f"{_result(is_good=is_good)} {serial_number:<24} {words}".rstrip())


@contextmanager
def screen_on(stream: TextIO, write: Callable[[str], None], total: int) -> Iterator[Screen]:
    """Yield a screen with colours and a count if ``stream`` is a terminal, else plain lines.

    A failed device stays to be read above the count; good ones scroll by.
    """
    if not stream.isatty():
        yield PlainScreen(write)
        return
    try:
        from rich import progress  # noqa: PLC0415 - 0.1 s, and only a terminal needs it
        from rich.console import Console  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise EXTRA_MISSING.error(library=str(error.name)) from error
    columns = (
        progress.TextColumn("[green]{task.fields[good]} PASS"),
        progress.TextColumn("[red]{task.fields[bad]} FAIL"),
        progress.BarColumn(), progress.MofNCompleteColumn(), progress.TimeRemainingColumn(),
    )  # fmt: skip
    with progress.Progress(*columns, console=Console(file=stream)) as bars:
        yield _TerminalScreen(bars, bars.add_task("devices", total=total, good=0, bad=0))


class _TerminalScreen:
    def __init__(self, bars: "Bars", task: "TaskID") -> None:
        self._bars, self._task = bars, task
        self._count = {True: 0, False: 0}

    def show(self, serial_number: str, words: str, *, is_good: bool) -> None:
        from rich.text import Text  # noqa: PLC0415 - loaded by now

        self._count[is_good] += 1
        colour = "bold white on green" if is_good else "bold white on red"
        line = Text.assemble(
            (f" {_result(is_good=is_good)} ", colour), f" {serial_number:<24} ", words
        )
        self._bars.console.print(line, overflow="ellipsis" if is_good else "fold")
        good, bad = self._count[True], self._count[False]
        self._bars.update(self._task, completed=good + bad, good=good, bad=bad)


def _result(*, is_good: bool) -> str:
    return "PASS" if is_good else "FAIL"
