"""What the demo learns from a device's reports: its steps, and who it became."""

import time
from typing import Final

from scripts.demonstration.commands import CommandFailedError, Report
from scripts.demonstration.story import Story

_STEPS: Final = (
    "storage opened",
    "key made",
    "claim connected",
    "certificate issued",
    "certificate staged",
    "thing registered",
    "identity proven",
    "claim destroyed",
    "telemetry acknowledged",
)
_REPEATABLE: Final = {"not let in", "waiting"}


class FirstBoot:
    """One device from power-on to its first telemetry."""

    def __init__(self, method: str, story: Story) -> None:
        """Power on now."""
        self._method = method
        self._story = story
        self._power_on = time.monotonic()
        self.steps: list[dict[str, object]] = []
        self.thing_name = ""
        self.certificate_id = ""
        self.key_store = ""

    def hear(self, report: Report) -> bool:
        """Note one report; return whether it was the last that the demo waits for."""
        if "identity" in report:
            identity = report["identity"]
            self.thing_name = identity["thing_name"]
            self.certificate_id = identity["certificate_id"]
            self.key_store = _key_store(identity["key_uri"])
        elif "step" in report:
            self._note(report["step"], report["detail"])
        return report.get("step") == _STEPS[-1]

    def _note(self, name: str, detail: str) -> None:
        """Note a step; what the second power-on repeats is not news."""
        if name in self._seen() - _REPEATABLE:
            return
        ms = round((time.monotonic() - self._power_on) * 1000, 1)
        self.steps.append({"name": name, "ms": ms})
        self._story.step(self._method, name, ms, detail)

    def _seen(self) -> set[object]:
        return {step["name"] for step in self.steps}

    def check_complete(self) -> None:
        """See that nothing was left out.

        Raises:
            CommandFailedError: something was, so the demo has not shown what it promises.
        """
        made_by_aws = {"key made"} if self._method == "claim-aws-keys" else set()
        missing = [name for name in _STEPS if name not in self._seen() | made_by_aws]
        if missing:
            raise CommandFailedError("scripts/demo", f"never happened: {', '.join(missing)}", 1)


def _key_store(uri: str) -> str:
    return "sealed" if uri.startswith("sealed:") else uri
