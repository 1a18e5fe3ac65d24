"""What a person sees while a fleet runs: one bar of proven devices, and what they do."""

from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fleet.crowd import Moment
from fleet.running import Hearer


class Screen:
    """Shows a run on standard error; where that is no terminal, a line a phase and a tenth."""

    def __init__(self, devices: int) -> None:
        """Have nothing on the screen yet."""
        console = Console(stderr=True)
        self._is_live: Final = console.is_terminal
        self._progress: Final = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("proven"), TimeElapsedColumn(), TextColumn("{task.fields[words]}"),
            console=console, disable=not self._is_live,
        )  # fmt: skip
        self._console: Final = console
        self._devices: Final = devices
        self._tenths = 0
        self._task: Final = self._progress.add_task("", total=devices, words="")

    @property
    def hearer(self) -> Hearer:
        """What tells this screen."""
        return Hearer(self._phase, self._moment)

    def _phase(self, words: str) -> None:
        self._progress.update(self._task, description=words)
        if not self._is_live:
            self._console.print(words, highlight=False)

    def _moment(self, moment: Moment) -> None:
        at_work, memory = f"{moment.operating:,} at work", f"{moment.memory_kib >> 10:,} MiB"
        words = f"{at_work}, {moment.calls:,} calls, {memory}"
        self._progress.update(self._task, completed=moment.proven, words=words)
        tenths = 10 * moment.proven // self._devices
        if tenths > self._tenths and not self._is_live:
            self._phase(f"{moment.proven:,} proven after {moment.seconds:,.0f} s; {words}")
        self._tenths = max(tenths, self._tenths)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()
