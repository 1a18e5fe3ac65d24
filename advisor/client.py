"""The client under test, as a command: started for a case, stopped after it."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_STOP_SECONDS: Final = 10.0


@dataclass(frozen=True)
class Place:
    """What a client is told, by placeholders in its command and by variables ``ADVISOR_*``."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path
    client_id: str
    thing: str
    case: str
    """The id of the case."""
    template: str
    """The provisioning template, or nothing."""
    folder: Path
    """An empty folder of this case."""

    @property
    def words(self) -> Mapping[str, str]:
        """The placeholders, without braces, and what stands for each."""
        return {
            **{name: str(value) for name, value in asdict(self).items()},
            "endpoint": f"{self.host}:{self.port}",
        }


Ended = Callable[[str], None]
"""Told how the client ended, if it did so by itself."""
Start = Callable[[Place, Ended], AbstractContextManager[None]]


def command(words: Sequence[str], output: Path | None = None) -> Start:
    """Return how to run ``words``; what the client says goes to a file below ``output``."""

    @contextmanager
    def start(place: Place, ended: Ended) -> Iterator[None]:
        folder = place.folder if output is None else output
        with (folder / f"{place.case}.log").open("wb") as said:
            process = subprocess.Popen(  # noqa: S603 - the command that the caller named
                filled(words, place),
                env={**os.environ, **variables(place)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            watch = threading.Thread(target=_watch, args=(process, ended), daemon=True)
            watch.start()
            try:
                yield
            finally:
                _stop(process)
                watch.join()

    return start


def filled(words: Sequence[str], place: Place) -> list[str]:
    """Return ``words`` with each placeholder replaced; other braces stay."""
    out = []
    for word in words:
        for name, value in place.words.items():
            word = word.replace(f"{{{name}}}", value)  # noqa: PLW2901 - one after the other
        out.append(word)
    return out


def variables(place: Place) -> Mapping[str, str]:
    """Return the same for the environment."""
    return {f"ADVISOR_{name.upper()}": value for name, value in place.words.items()}


def _watch(process: "subprocess.Popen[bytes]", ended: Ended) -> None:
    ended(f"exit code {process.wait()}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """End the process, and those that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
