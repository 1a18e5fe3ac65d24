"""``python -m tests.wire.watch_pictures``: the pictures of the live page in docs/pictures, again.

A device by claim boots, one by JITP is refused twice first, and the hook refuses a third.
"""

import tempfile
import threading
from pathlib import Path
from typing import Final

from factory.account.allow_list import TABLE
from localcloud.page.feed import Feed
from localcloud.page.server import serving
from localcloud.process import lifecycle
from localcloud.process.state_folder import StateFolder
from tests.support.browser import Page, browser
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.wire.conftest import ROOT, LocalCloud, free_ports, running

PICTURES: Final = ROOT / "docs" / "pictures"
_ACCOUNT: Final = "729987654321"
_PATIENT: Final = {"DEVICE_CONNECTION__RETRY__GIVE_UP_REFUSED_AFTER": "30"}


def boot_three(line: ProductionLine, folder: Path) -> None:
    """Boot the three devices whose exchanges the pictures show."""
    hooked = ("--config", CONFIG / "claim-hook.yaml")
    line.boot(line.make(folder / "SN-1001"), *hooked)
    jitp = line.of("jitp")
    line.boot(jitp.make(folder / "SN-1002"), "--config", CONFIG / "jitp.yaml", **_PATIENT)
    refused = line.make(folder / "SN-1003")
    key = {"SerialNumber": {"S": refused.name}}
    line.client("dynamodb").delete_item(TableName=TABLE, Key=key)
    line.boot(refused, *hooked)


def take(page: Page) -> None:
    """Write the pictures of a page that shows the third device's failure."""
    page.wait("document.querySelector('[data-device=\"SN-1003\"] .failed') !== null")
    page.run("Promise.all(document.getAnimations().map((each) => each.finished)).then(() => true)")
    (PICTURES / "watch.png").write_bytes(page.picture())
    page.prefer("dark")
    page.resize(390, 760)
    (PICTURES / "watch-phone.png").write_bytes(page.picture())


def _watch(cloud: LocalCloud, folder: Path) -> None:
    feed = Feed(lambda after: lifecycle.call(cloud.folder, "GET", f"watch/{after}"))
    with serving(feed) as (server, address), browser(folder / "profile") as chromium:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with chromium.page(address, 1180, 860) as page:
            take(page)
        server.shutdown()


def main() -> None:
    """Take them."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with running(StateFolder(folder / "cloud"), free_ports()) as cloud:
            cloud.admin("PUT", "settings", {"jitp_seconds": 0.1})
            with production_line(cloud, _ACCOUNT, folder, "claim") as line:
                line.run("prepare", "--method", "claim", "--hook")
                line.run("prepare", "--method", "jitp")
                boot_three(line, folder)
                _watch(cloud, folder)


if __name__ == "__main__":
    main()
