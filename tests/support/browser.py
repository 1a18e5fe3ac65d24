"""A browser without a window, driven over a pipe by the Chrome DevTools Protocol.

One is started for all tests of a module, since a start costs a second or two.
"""

import base64
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Any, Final

from tests.support.hang import SECONDS

_FLAGS: Final = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)  # fmt: skip
_POLL_SECONDS: Final = 0.05


class Browser:
    """Chromium, at the other end of two pipes."""

    def __init__(self, to: IO[bytes], answers: IO[bytes]) -> None:
        """Write messages to ``to``; read ``answers``; each ends with a NUL."""
        self._to = to
        self._answers = answers
        self._numbers = count(1)
        self._rest = b""

    def call(self, method: str, session: str | None = None, **parameters: object) -> Any:
        """Call ``method`` and return its result; events that come meanwhile are skipped."""
        number = next(self._numbers)
        message: dict[str, object] = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while (answer := self._read()).get("id") != number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> Mapping[str, Any]:
        while b"\0" not in self._rest:
            data = os.read(self._answers.fileno(), 1 << 16)
            assert data, "the browser has ended"
            self._rest += data
        line, _, self._rest = self._rest.partition(b"\0")
        answer: Mapping[str, Any] = json.loads(line)
        return answer

    @contextmanager
    def page(self, address: str, width: int = 1280, height: int = 900) -> Iterator["Page"]:
        """Show ``address`` in a tab of its own."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        page.resize(width, height)
        self.call("Page.navigate", session, url=address)
        try:
            page.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
            yield page
        finally:
            self.call("Target.closeTarget", targetId=target)


class Page:
    """One tab."""

    def __init__(self, browser: Browser, session: str) -> None:
        """Speak to the tab that ``session`` is attached to."""
        self._browser = browser
        self._session = session

    def run(self, script: str) -> Any:
        """Return what an expression of JavaScript is."""
        result = self._browser.call(
            "Runtime.evaluate", self._session,
            expression=script, awaitPromise=True, returnByValue=True,
        )  # fmt: skip
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def wait(self, script: str, seconds: float = SECONDS) -> Any:
        """Return what ``script`` is as soon as that is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            assert time.monotonic() < deadline, f"never true: {script}\n{self.text()}"
            time.sleep(_POLL_SECONDS)
        return value

    def text(self, selector: str = "body") -> str:
        """Return what a person reads of the first element that fits ``selector``."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def click(self, selector: str) -> None:
        """Click the first element that fits ``selector``."""
        self.run(f"document.querySelector({json.dumps(selector)}).click()")

    def resize(self, width: int, height: int) -> None:
        """Be a screen of this size."""
        self._browser.call(
            "Emulation.setDeviceMetricsOverride", self._session,
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip

    def prefer(self, scheme: str) -> None:
        """Prefer ``light`` or ``dark``."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._browser.call("Emulation.setEmulatedMedia", self._session, features=[feature])

    def picture(self) -> bytes:
        """Return what is seen, as a PNG."""
        data = self._browser.call("Page.captureScreenshot", self._session)["data"]
        return base64.b64decode(data)


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Start Chromium; it ends with the block."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    line = f'exec chromium "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with (
        subprocess.Popen(
            ["/bin/bash", "-c", line, "browser", *_FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
        ) as process,
        os.fdopen(ours_out, "wb") as to,
        os.fdopen(ours_in, "rb") as answers,
    ):
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Browser(to, answers)
        finally:
            process.kill()
