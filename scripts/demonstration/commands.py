"""Runs the commands of the demo as a person would type them, and shows what they say."""

import json
import os
import re
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from scripts.demonstration.story import Story

Report = Mapping[str, Any]
"""One line of ``device --json``."""

_CODE: Final = re.compile(r"error (FB-[0-9]{3}): (.*)")
_NEXT: Final = re.compile(r"^ *next: (.*)", re.MULTILINE)
_PATIENCE_SECONDS: Final = 120.0
_FOREIGN: Final = ("AWS_", "DEVICE_")  # a real account, or another device, that the shell knows
_DIRECT: Final = dict.fromkeys(("NO_PROXY", "no_proxy"), "localhost,127.0.0.1")


class CommandFailedError(Exception):
    """A command of the demo did not do what it is for."""

    def __init__(self, line: str, words: str, exit_code: int) -> None:
        """Keep the command ``line``, its own ``words`` and its exit code."""
        super().__init__(f"{line}\n{words}")
        self.line = line
        self.words = words
        self.exit_code = exit_code

    def as_fields(self) -> dict[str, object]:
        """Return it as ``--json`` prints it, with the code of the command's own error."""
        code, said = _CODE.search(self.words), self.words.strip().splitlines()
        step = _NEXT.search(self.words)
        return {
            "error": "CommandFailedError",
            **({"code": code[1]} if code else {}),
            "command": self.line,
            "message": code[2] if code else (said or ["it said nothing"])[-1],
            "next_step": step[1] if step else f"Run it by itself: {self.line}",
            "exit_code": self.exit_code,
        }


class Commands:
    """A shell with an environment of its own: no credential of the caller's reaches it."""

    def __init__(self, story: Story) -> None:
        """Tell ``story`` each command."""
        self._story = story
        caller = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        self.environment = caller | _DIRECT

    def run(self, *words: str) -> None:
        """Run a command and show what it says.

        Raises:
            CommandFailedError: it ended with another exit code than 0.
        """
        line = shlex.join(words)
        self._story.command(line)
        started = time.monotonic()
        result = self._result(words)
        self._story.words(result.stderr + result.stdout, time.monotonic() - started)

    def ask(self, *words: str) -> str:
        """Run a command and return its data.

        Raises:
            CommandFailedError: it ended with another exit code than 0.
        """
        return self._result(words).stdout

    def _result(self, words: tuple[str, ...]) -> "subprocess.CompletedProcess[str]":
        result = subprocess.run(  # noqa: S603 - our own commands
            words, env=self.environment, capture_output=True, text=True, check=False
        )
        if result.returncode:
            raise CommandFailedError(shlex.join(words), result.stderr, result.returncode)
        return result

    def follow(self, words: tuple[str, ...], hear: Callable[[Report], bool]) -> None:
        """Run a ``device`` command; each report goes to ``hear``, which says when it is enough.

        Raises:
            CommandFailedError: it ended with another exit code than 0.
        """
        line = shlex.join(words)
        self._story.command(line)
        with tempfile.TemporaryFile("w+") as said:
            with subprocess.Popen(  # noqa: S603 - our own commands
                (*words, "--json"),
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            ) as process:
                impatience = threading.Timer(_PATIENCE_SECONDS, process.terminate)
                impatience.start()
                try:
                    for report in process.stdout or ():
                        if hear(json.loads(report)):
                            process.terminate()
                finally:
                    impatience.cancel()
                    process.terminate()
            if process.returncode:
                said.seek(0)
                raise CommandFailedError(line, said.read(), process.returncode)
