"""Plays a page's commands on a stage, and returns what its generated parts should say."""

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from scripts.demonstration.methods import METHODS, Method
from scripts.illustrated import page as illustrated
from scripts.illustrated.diagram import diagram
from scripts.illustrated.happenings import connections
from scripts.recording import conversation
from scripts.recording.page import (
    CHECKOUT,
    CLEAN_UP,
    PAGES,
    RUN,
    RecordingError,
    breakages,
    commands,
    with_recording,
    without_sizes,
)
from scripts.recording.registry import Holdings, Registry
from scripts.recording.stage import Shell, Stage, open_stage, wait_until

_CALL: Final = re.compile(r"factory\.account\.aws: (?:calling|listing) (\w+:\w+)")
_MUST_FAIL: Final = re.compile(r"(?P<line>.*?) +# (?P<code>FB-\d+)")
_ENDLESS: Final = "device run"
_BEFORE: Final = "before"
ILLUSTRATED: Final = CHECKOUT / "docs" / "illustrated"
_SAME: Final = "="


class Recording:
    """One method, while its page is played."""

    def __init__(self, method: Method, stage: Stage, shell: Shell) -> None:
        """Look at the accounts before anything happens."""
        self._method = method
        self._stage = stage
        self._shell = shell
        self._accounts = {
            shlex.join(place): Registry({**stage.environment, **_account(place)})
            for place in method.accounts or [()]
        }
        self._columns = {_BEFORE: self._holdings()}
        self._calls: dict[str, list[str]] = {}
        self._in_background = ""

    def play(self, line: str) -> None:
        """Run a line of the page, and note what came of it.

        Raises:
            RecordingError: it failed.
        """
        if line.startswith("factory "):
            said = self._shell.run(f"{line} --log-level debug")
            self._calls[line] = list(dict.fromkeys(_CALL.findall(said)))
        elif line.startswith("sleep "):  # how a person waits for a device that is to listen
            wait_until(lambda: any(self._stage.folder.rglob("claim")), "a device that waits")
        elif line.startswith(_ENDLESS):
            self._play_endless(line)
        else:
            self._shell.run(line)
        if line.endswith("&"):
            self._in_background = line
        elif line == "wait":
            self._look(self._in_background)
            self._in_background = ""
        elif not self._in_background:  # else what is there now is a matter of chance
            self._look(line)

    def _play_endless(self, line: str) -> None:
        before = self._acknowledged()
        self._shell.run(f"{line} & endless=$!")
        wait_until(lambda: self._acknowledged() > before, "a message that was acknowledged")
        self._shell.run("kill $endless; wait $endless")

    def _acknowledged(self) -> int:
        return sum(event.get("packet") == "PUBACK" for event in self._stage.admin("GET", "wire"))

    def _look(self, line: str) -> None:
        words = [word for word in shlex.split(line) if "=" not in word]
        short = " ".join(words[:2])
        if words[0] in {"factory", "device"} and words[1] != "status":
            self._columns[line if short in self._columns else short] = self._holdings()

    def clean_up(self, lines: Iterable[str]) -> None:
        """Tear down, and see that the accounts are as they were found.

        Raises:
            RecordingError: something is left, or gone.
        """
        for line in lines:
            self._shell.run(line)
        if odd := self._columns[_BEFORE].items() ^ self._holdings().items():
            raise RecordingError(f"the clean-up changed, or left: {sorted(odd)}")

    def break_it(self, words: str, lines: Iterable[str]) -> illustrated.Broken:
        """Run lines of which some have to fail; return what was seen up to the first failure.

        Raises:
            RecordingError: one that has to fail did not, or for another reason; or the reverse.
        """
        told: Mapping[str, Any] = {"events": [], "registry": []}
        lines = list(lines)
        before = int(self._stage.admin("GET", "watch/0")["events"][-1]["number"])
        for line in lines:
            failing = _MUST_FAIL.fullmatch(line)
            if failing is None:
                self._shell.run(line)
                continue
            said = self._shell.run(f"! {{ {failing['line']}; }}")
            if failing["code"] not in said:
                raise RecordingError(f"{line}\n{said}")
            if not told["events"]:
                wait_until(self._all_closed, "the end of all connections")
                told = self._told(before)
        return illustrated.Broken(words, lines, told)

    def told(self) -> Mapping[str, Any]:
        """Return what happened, with all bytes."""
        return self._told(0)

    def _told(self, after: int) -> Mapping[str, Any]:
        self._stage.admin("GET", "status")  # an answer brings the latest changes into the log
        found: Mapping[str, Any] = self._stage.admin("GET", f"watch/{after}")
        return found

    def wire(self) -> str:
        """Return what the station called, and what device and cloud said to each other."""
        wait_until(self._all_closed, "the end of all connections")
        calls = [
            f"- `{line}`: {', '.join(f'`{call}`' for call in called) or 'no call to AWS'}"
            for line, called in self._calls.items()
        ]
        owners: dict[str, str] = {}
        for registry in self._accounts.values():
            owners |= registry.owners()
        events = self._stage.admin("GET", "wire")
        picture = f"![the sequence of the packets](illustrated/{self._method.name}.svg)"
        seen = f"[{picture}](illustrated/{self._method.name}.html)"
        bytes_ = f"Each packet with its bytes: [illustrated](illustrated/{self._method.name}.html)."
        return "\n".join([*calls, "", *conversation.table(events, owners), "", seen, "", bytes_])

    def _all_closed(self) -> bool:
        edges = [event.get("event") for event in self._stage.admin("GET", "wire")]
        return edges.count("opened") == edges.count("closed")

    def registry(self) -> str:
        """Return what the accounts hold after each command, without what never changes."""
        names = dict.fromkeys(name for holdings in self._columns.values() for name in holdings)
        titles = (f"after `{line}`" if line != _BEFORE else line for line in self._columns)
        lines = [f"| | {' | '.join(titles)} |", "|---|" + "---|" * len(self._columns)]
        for name in names:
            states = [holdings.get(name, "-") for holdings in self._columns.values()]
            if len(set(states)) > 1:
                lines.append(f"| {name} | {' | '.join(_changes(states))} |")
        return "\n".join(lines)

    def _holdings(self) -> Holdings:
        return {
            f"{place}: {name}" if place else name: words
            for place, registry in self._accounts.items()
            for name, words in registry.holdings().items()
        }


@dataclass(frozen=True)
class Recorded:
    """What a run of a page says it and its illustrated page should be."""

    page: str
    illustrated: Mapping[str, str]
    """A page and a picture, by file name."""


def record(name: str, stage: Stage) -> Recorded:
    """Return the page of a method as it should be, after a run of its own commands.

    Raises:
        RecordingError: the page has not the shape of the others, or a command did not do what
            it says.
    """
    page, method = PAGES[name].read_text(encoding="utf-8"), METHODS[name]
    stage.clear()
    with stage.shell() as shell:
        recording = Recording(method, stage, shell)
        for line in commands(page, RUN):
            recording.play(line)
        recorded = {"wire": recording.wire(), "registry": recording.registry()}
        told = recording.told()
        broken = [recording.break_it(words, lines) for words, lines in breakages(page)]
        recording.clean_up(commands(page, CLEAN_UP))
    title = " ".join(method.lesson)
    files = {
        f"{name}.html": illustrated.page(name, title, told, broken, list(PAGES)),
        f"{name}.svg": diagram(connections(told), f"first boot, {name}"),
    }
    return Recorded(with_recording(page, recorded), files)


def record_all() -> None:
    """Write every page again that does not tell what happens.

    Raises:
        RecordingError: a page could not be played to its end; those before it are written.
    """
    titles = {name: " ".join(METHODS[name].lesson) for name in PAGES}
    illustrated.write(ILLUSTRATED, {"index.html": illustrated.index(titles)})
    with open_stage() as stage:
        for method, page in PAGES.items():
            recorded = record(method, stage)
            if without_sizes(recorded.page) != without_sizes(page.read_text(encoding="utf-8")):
                page.write_text(recorded.page, encoding="utf-8")
            illustrated.write(ILLUSTRATED, recorded.illustrated)


def _account(place: tuple[str, ...]) -> Mapping[str, str]:
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"), place, strict=False))


def _changes(states: list[str]) -> list[str]:
    """Write what stays the same with a sign."""
    pairs = zip(states, ["-", *states], strict=False)
    return [_SAME if state == before != "-" else state for state, before in pairs]
