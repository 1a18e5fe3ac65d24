"""What the demo tells: the commands, the steps with a word on why, and what to try next."""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from rich.console import Console

from scripts.demonstration.methods import Method

if TYPE_CHECKING:
    from scripts.demonstration.commands import CommandFailedError

_WHY: Final = {
    "storage opened": "sealed under this device's own fuses",
    "key made": "made inside, and it never leaves",
    "claim connected": "mutual TLS with the certificate that its whole batch shares",
    "certificate issued": "AWS signed the device's own request: {short}...",
    "certificate staged": "checked and stored, not trusted yet",
    "thing registered": "{detail}, as the provisioning template says",
    "device connected": "with the new certificate, under its own name",
    "identity proven": "AWS acknowledged a message sent with it",
    "claim destroyed": "in the commit that made the new certificate the identity",
    "certificate promoted": "what was installed is the identity now",
    "operating": "connected with its own certificate, and it has no other",
    "telemetry acknowledged": "{detail}, at least once (QoS 1)",
}
_HINTS: Final = ("To use it:", "Next:", "NOT FOR PRODUCTION")
_SHORT: Final = 12
_WIDTH: Final = 80
_SLOW_SECONDS: Final = 0.5


class Story:
    """Tells the demo to one stream; plain text if that is not a terminal."""

    def __init__(self, stream: TextIO) -> None:
        """Tell it to ``stream``."""
        self._console = Console(file=stream, highlight=False, soft_wrap=True, markup=False)
        self._has_begun = False

    def _say(self, text: str = "", style: str = "") -> None:
        self._console.print(text, style=style)

    def begin(self, method: Method) -> None:
        """Say what is about to happen."""
        if self._has_begun:
            self._say("\n" + "-" * _WIDTH)
        self._has_begun = True
        self._say(f"Firstboot, by {method.name}.", style="bold")
        for line in method.lesson:
            self._say(line)
        self._say("All of it on this machine, without an AWS account. NOT FOR PRODUCTION.")

    def chapter(self, title: str) -> None:
        """Begin a part."""
        self._say()
        self._say(title, style="bold")

    def command(self, line: str) -> None:
        """Show a command before it runs."""
        self._say(f"  $ {line}", style="cyan")

    def words(self, text: str, seconds: float) -> None:
        """Show what a command said; what it suggests comes at the end of the demo."""
        for line in text.splitlines():
            if not line.startswith(_HINTS):
                self._say(f"  {line.partition('. Next:')[0]}")
        if seconds > _SLOW_SECONDS:
            self._say(f"  ({seconds:.1f} s)", style="dim")

    def remark(self, text: str) -> None:
        """Say something between two steps."""
        self._say(f"  {text}")

    def step(self, method: Method, name: str, ms: float, detail: str) -> None:
        """Show one thing that the device did."""
        why = method.why.get(name) or _WHY.get(name, "{detail}")
        line = f"  {ms / 1000:7.3f} s  {name:<23}"
        self._console.print(line, style="green", end="")
        pause = detail.partition(", because")[0]
        self._say(why.format(detail=detail, short=detail[:_SHORT], pause=pause), style="dim")

    def facts(self, facts: Mapping[str, str]) -> None:
        """Show names and values."""
        width = max(map(len, facts))
        for name, value in facts.items():
            self._say(f"  {name:<{width}}  {value}")

    def comparison(self, lines: Sequence[str]) -> None:
        """Show the methods side by side."""
        self.chapter("The methods side by side; the time runs from power-on to the proven identity")
        for line in lines:
            self._say(f"  {line}")
        self._say()
        self._say("One alone, and what to try with it: ./scripts/demo --method NAME")
        self._say("Stop the local AWS: . .venv/bin/activate; localcloud down")

    def try_next(self, commands: Mapping[str, list[str]]) -> None:
        """Show what to do next, and the commands for it."""
        self.chapter("Try next (the local AWS goes on running)")
        if os.environ.get("PWD") not in {None, str(Path.cwd())}:
            commands = {"go to the checkout": [f"cd {shlex.quote(str(Path.cwd()))}"], **commands}
        for purpose, lines in commands.items():
            self._say(f"  {purpose}:")
            for line in lines:
                self._say(f"    {line}", style="cyan")

    def failed(self, error: "CommandFailedError") -> None:
        """Say which command failed, in its own words."""
        self._say()
        self._say(f"{error.line} ended with exit code {error.exit_code}:", style="bold red")
        self._say(error.words.rstrip())

    def stopped(self) -> None:
        """Say that the demo was interrupted."""
        self._say("\nStopped. Run it again at any time: it makes another device.")
