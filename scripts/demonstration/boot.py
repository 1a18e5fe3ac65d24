"""What the demo learns from a device's reports: its steps, and who it became."""

import time
from typing import Final

from scripts.demonstration.commands import CommandFailedError, Report
from scripts.demonstration.methods import Method
from scripts.demonstration.story import Story

_FIRST: Final = "storage opened"
_LAST: Final = "telemetry acknowledged"
_PROVEN: Final = "identity proven"
_REFUSED: Final = "refused by AWS IoT"
_CONNECTIONS: Final = {"claim connected", "device connected", _REFUSED}
_REPEATABLE: Final = {_REFUSED, "waiting"}


class FirstBoot:
    """One device from power-on to its first telemetry."""

    def __init__(self, method: Method, story: Story) -> None:
        """Power on now."""
        self._method = method
        self._story = story
        self._power_on = self._process_start = time.monotonic()
        self.steps: list[dict[str, object]] = []
        self.thing_name = ""
        self.certificate_id = ""
        self.key_store = ""
        self.key_made_by = ""
        self.connections = 0
        """Attempts, until the identity was proven."""
        self.refusals = 0
        self.seconds = 0.0
        """From power-on to the proven identity."""

    def hear(self, report: Report) -> bool:
        """Note one report; return whether it was the last that the demo waits for."""
        if "identity" in report:
            identity = report["identity"]
            self.thing_name = identity["thing_name"]
            self.certificate_id = identity["certificate_id"]
            self.key_store = _key_store(identity["key_uri"])
            self.key_made_by = identity["key_made_by"]
        elif "step" in report:
            self._note(report["step"], self._ms(report), report["detail"])
        return report.get("step") == _LAST

    def _ms(self, report: Report) -> float:
        """Return when it happened by the device's watch, which begins again with each process."""
        if report["step"] == _FIRST:
            self._process_start = time.monotonic() - report["ms"] / 1000
        return float(round((self._process_start - self._power_on) * 1000 + report["ms"], 1))

    def _note(self, name: str, ms: float, detail: str) -> None:
        """Note a step; what the second power-on repeats is not news."""
        if _PROVEN not in self._seen():
            self.connections += name in _CONNECTIONS
            self.refusals += name == _REFUSED
            self.seconds = ms / 1000
        if name in self._seen() - _REPEATABLE:
            return
        self.steps.append({"name": name, "ms": ms})
        self._story.step(self._method, name, ms, detail)

    def _seen(self) -> set[object]:
        return {step["name"] for step in self.steps}

    def check_complete(self) -> None:
        """See that nothing was left out.

        Raises:
            CommandFailedError: something was, so the demo has not shown what it promises.
        """
        missing = [name for name in self._method.steps if name not in self._seen()]
        if missing:
            raise CommandFailedError("scripts/demo", f"never happened: {', '.join(missing)}", 1)


def _key_store(uri: str) -> str:
    return "sealed" if uri.startswith("sealed:") else uri
