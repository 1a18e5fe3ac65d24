"""What a person sees while a batch runs: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

from factory.errors import EXTRA_MISSING

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID


class Progress(Protocol):
    """Told by a batch how far it is."""

    def say(self, words: str) -> None:
        """Show one line that stays."""
        ...

    def begin(self, stage: str, total: int) -> None:
        """Begin a stage of ``total`` devices; the one before is over."""
        ...

    def advance(self, done: int) -> None:
        """Show that ``done`` devices are through this stage."""
        ...


class PlainProgress:
    """A `Progress` in lines: when a stage begins, and at most ten times a stage."""

    def __init__(self, write: Callable[[str], None]) -> None:
        """Hand each line to ``write``."""
        self._write = write
        self._stage, self._total, self._shown = "", 0, 0

    def say(self, words: str) -> None:
        self._write(words)

    def begin(self, stage: str, total: int) -> None:
        self._stage, self._total, self._shown = stage, total, 0

    def advance(self, done: int) -> None:
        tenth = max(1, self._total // 10)
        if done // tenth > self._shown // tenth or (done == self._total != self._shown):
            self._write(f"{self._stage}: {done} of {self._total}")
            self._shown = done


@contextmanager
def progress_on(stream: TextIO, write: Callable[[str], None]) -> Iterator[Progress]:
    """Yield a bar if ``stream`` is a terminal, else lines that go to ``write``."""
    if not stream.isatty():
        yield PlainProgress(write)
        return
    try:
        from rich import progress  # noqa: PLC0415 - 0.1 s, and only a terminal needs it
        from rich.console import Console  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise EXTRA_MISSING.error(library=str(error.name)) from error

    columns = (
        progress.TextColumn("{task.description}"), progress.BarColumn(),
        progress.MofNCompleteColumn(), progress.TimeElapsedColumn(),
    )  # fmt: skip
    with progress.Progress(*columns, console=Console(file=stream)) as bars:
        yield _Bar(bars)


class _Bar:
    def __init__(self, bars: "Bars") -> None:
        self._bars = bars
        self._task: TaskID | None = None

    def say(self, words: str) -> None:
        self._bars.console.print(words, markup=False, highlight=False)

    def begin(self, stage: str, total: int) -> None:
        self._task = self._bars.add_task(stage, total=total)

    def advance(self, done: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done)
