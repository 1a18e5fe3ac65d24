"""The page of ``localcloud watch --web``, as a person sees it in a browser."""

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from factory.account.allow_list import TABLE
from localcloud.page.feed import Feed
from localcloud.page.server import serving
from localcloud.process import lifecycle
from tests.support.browser import Browser, Page, browser
from tests.support.hang import join
from tests.support.production_line import CONFIG, ProductionLine, production_line
from tests.wire.conftest import ROOT, LocalCloud

pytestmark = [
    pytest.mark.wire,
    pytest.mark.skipif(not shutil.which("chromium"), reason="no chromium: see scripts/_browser.py"),
]
ACCOUNT: Final = "719987654321"
NOTHING: Final = {"run": "1", "events": [], "registry": []}
HOSTILE: Final = '<img src=x onerror="document.title=1"><script>document.title=1</script>'


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@contextmanager
def shown(chromium: Browser, ask: Callable[[int], object]) -> Iterator[Page]:
    """Serve the page, and open it."""
    with serving(Feed(ask)) as (server, address):
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            with chromium.page(address) as page:
                page.wait(
                    "document.getElementById('position')?.textContent !== '0 of 0' || "
                    "document.getElementById('status').textContent === 'live'"
                )
                yield page
        finally:
            server.shutdown()
            join(thread)


def scripted(events: list[dict[str, Any]], registry: list[dict[str, Any]] | None = None) -> Any:
    """Return an ``ask`` that knows these events, numbered in their order."""
    numbered = [
        {"number": n, "connection": 1, "ms": 1.0 * n, **event} for n, event in enumerate(events, 1)
    ]
    rows = [{"number": n, **row} for n, row in enumerate(registry or [], len(events) + 1)]

    def ask(after: int) -> object:
        def newer(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
            return [each for each in listed if each["number"] > after]

        return {**NOTHING, "events": newer(numbered), "registry": newer(rows)}

    return ask


def packet(name: str, by: str = "device", **facts: object) -> dict[str, Any]:
    return {"packet": name, "by": by, "bytes": 4, **facts}


REFUSED: Final = [
    {"event": "opened", "by": "device", "tls": "TLSv1.3", "server_name": "localhost",
     "certificate_id": "ab" * 32},
    packet("CONNECT", client_id="claim-SN-1", version=5),
    packet("CONNACK", "cloud", reason_codes=[0]),
    packet("SUBSCRIBE", topics=["$aws/certificates/create-from-csr/json/accepted"]),
    packet("SUBACK", "cloud", reason_codes=[0x87]),
]  # fmt: skip


def step(device: str, name: str) -> str:
    """Return what finds a step of a device on the page."""
    return f"[data-device={json.dumps(device)}] [data-step={name}]"


def is_there(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)}) !== null"


# --- devices that boot -------------------------------------------------------------------


@pytest.fixture(scope="module")
def line(
    local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProductionLine]:
    folder = tmp_path_factory.mktemp("watched")
    before = local_cloud.admin("GET", "settings")
    local_cloud.admin("PUT", "settings", {"jitp_seconds": 0.1})
    with production_line(local_cloud, ACCOUNT, folder, "claim") as line:
        assert line.run("prepare", "--method", "claim", "--hook").code == 0
        yield line
    local_cloud.admin("PUT", "settings", before)


@pytest.fixture
def watched(chromium: Browser, local_cloud: LocalCloud) -> Iterator[Page]:
    def ask(after: int) -> object:
        return lifecycle.call(local_cloud.folder, "GET", f"watch/{after}")

    with shown(chromium, ask) as page:
        yield page


def test_a_first_boot_by_claim_is_seen_to_its_end(
    watched: Page, line: ProductionLine, tmp_path: Path
) -> None:
    state = line.make(tmp_path / "SN-SEEN")

    identity = line.boot(state, "--config", CONFIG / "claim-hook.yaml").identity

    watched.wait(is_there(step("SN-SEEN", "provisioned") + ".done"))
    assert watched.run("document.querySelectorAll('[data-device=SN-SEEN] li.done').length") == 7
    assert "as claim-SN-SEEN" in watched.text("#wire")
    thing = '[data-kind=thing][data-name="SN-SEEN"]'
    assert f"certificate {identity['certificate_id'][:12]}" in watched.text(thing)
    certificate = f'[data-kind=certificate][data-name="{identity["certificate_id"][:12]}"]'
    assert watched.text(f"{certificate} .word.good") == "ACTIVE"


def test_a_device_that_the_hook_refuses_is_red_where_it_failed(
    watched: Page, line: ProductionLine, tmp_path: Path
) -> None:
    state = line.make(tmp_path / "SN-UNLISTED")
    key = {"SerialNumber": {"S": state.name}}
    line.client("dynamodb").delete_item(TableName=TABLE, Key=key)

    line.boot(state, "--config", CONFIG / "claim-hook.yaml")

    failed = step("SN-UNLISTED", "register") + ".failed"
    watched.wait(is_there(failed))
    assert "device explain FB-411" in watched.text(failed)
    assert "403 AccessDenied" in watched.text(failed)
    red = watched.run("getComputedStyle(document.querySelector('.packet.refusal .name')).color")
    assert red == "rgb(179, 32, 42)"


def test_a_jitp_refusal_is_seen_by_stepping_back(
    watched: Page, line: ProductionLine, tmp_path: Path
) -> None:
    assert line.run("prepare", "--method", "jitp").code == 0
    state = tmp_path / "SN-JITP"
    made = line.run("make", "--method", "jitp", "--serial", state.name, "--out", str(state))
    assert made.code == 0
    patient = {"DEVICE_CONNECTION__RETRY__GIVE_UP_REFUSED_AFTER": "30"}

    line.boot(state, "--config", CONFIG / "jitp.yaml", **patient)

    watched.wait(is_there(step("SN-JITP", "provisioned") + ".done"))
    failed = step("SN-JITP", "connect") + ".failed"
    for _ in range(100):
        if watched.run(is_there(failed)):
            break
        watched.click("#back")
    assert "FB-404" in watched.text(failed)
    assert "PENDING_ACTIVATION" in watched.text(failed)


# --- pause, step, replay -----------------------------------------------------------------


def test_paused_it_goes_step_by_step(chromium: Browser) -> None:
    with shown(chromium, scripted(REFUSED)) as page:
        page.wait(is_there(step("SN-1", "subscribe") + ".failed"))
        page.click("#back")
        assert page.text("#position") == "4 of 5"
        assert page.run(is_there(step("SN-1", "subscribe") + ".doing"))
        page.click("#step")
        assert page.run(is_there(step("SN-1", "subscribe") + ".failed"))
        assert page.text("#status") == "paused"
        page.click("#pause")
        assert page.text("#status") == "live"


def test_a_replay_begins_at_the_first_event_and_comes_to_the_last(chromium: Browser) -> None:
    with shown(chromium, scripted(REFUSED)) as page:
        page.wait(is_there(".packet.refusal"))
        page.click("#replay")
        assert page.text("#position") == "0 of 5"
        assert page.run("document.querySelectorAll('.packet').length") == 0
        page.wait("document.getElementById('position').textContent === '5 of 5'")
        assert page.run(is_there(".packet.refusal"))


def test_a_local_aws_that_ends_is_said_and_one_that_is_emptied_begins_anew(
    chromium: Browser,
) -> None:
    answers: list[object] = [scripted(REFUSED)(0)]
    with shown(chromium, lambda _after: answers[-1]) as page:
        page.wait(is_there(".packet.refusal"))
        answers.append({"not": "an answer"})
        page.wait("document.getElementById('status').className === 'stopped'")
        answers.append({**NOTHING, "run": "2"})
        page.wait("document.getElementById('position').textContent === '0 of 0'")
        assert page.run("document.querySelectorAll('.packet, .device, .row').length") == 0


# --- bad input ---------------------------------------------------------------------------


def test_a_flood_leaves_a_short_list_and_a_page_that_answers(chromium: Browser) -> None:
    flood = [packet("PUBLISH", "cloud", topics=[f"flood/{n}"], qos=0) for n in range(2000)]
    with shown(chromium, scripted([*REFUSED, *flood])) as page:
        page.wait("document.getElementById('wire').textContent.includes('flood/1999')")
        assert page.text("#position") == "2000 of 2000"
        assert page.run("document.querySelectorAll('#wire > *').length") == 300
        assert page.run(is_there(step("SN-1", "subscribe") + ".failed")), "what was dropped counts"
        page.click("#back")
        assert page.text("#position") == "1999 of 2000"


def test_a_packet_that_repeats_is_one_line(chromium: Browser) -> None:
    flood = [packet("PUBLISH", "cloud", topics=["flood"], qos=0)] * 1000
    with shown(chromium, scripted(flood)) as page:
        page.wait("document.getElementById('position').textContent === '1000 of 1000'")
        assert page.run("document.querySelectorAll('.packet').length") == 1
        assert page.text(".times") == "\u00d7 1000"


def test_packets_of_two_connections_are_told_apart(chromium: Browser) -> None:
    events = [
        {**REFUSED[0], "connection": 1},
        {**REFUSED[0], "connection": 2},
        packet("CONNECT", client_id="SN-1", connection=1),
        packet("CONNECT", client_id="SN-2", connection=2),
    ]
    with shown(chromium, scripted(events)) as page:
        page.wait("document.getElementById('position').textContent === '4 of 4'")
        lines = page.run("[...document.querySelectorAll('#wire > *')].map(e => e.innerText)")
    assert [line.split(":")[0].split("\n")[0] for line in lines if "conn" in line] == [
        "connection 1", "connection 2", "connection 1", "connection 2",
    ]  # fmt: skip


def test_text_of_others_is_shown_as_text(chromium: Browser) -> None:
    events = [
        packet("CONNECT", client_id=HOSTILE),
        packet("PUBLISH", topics=[HOSTILE], fields=[HOSTILE], qos=0),
        {"event": "refused", "by": "cloud", "reason": HOSTILE},
    ]
    row = {"kind": "thing", "place": HOSTILE, "name": HOSTILE, "is_gone": False, "words": [HOSTILE]}
    with shown(chromium, scripted(events, [row])) as page:
        page.wait("document.querySelectorAll('.packet').length === 3")
        page.run("document.querySelectorAll('details').forEach(each => each.open = true)")
        page.wait("document.querySelectorAll('dl').length === 3")
        assert page.run("document.querySelectorAll('img, main script').length") == 0
        assert page.run("document.title") == "localcloud watch"
        for where in ("#devices", "#wire", "#registry"):
            assert "onerror" in page.text(where)


@pytest.mark.parametrize(("width", "columns"), [(1280, 3), (390, 1)])
def test_it_fits_a_desk_and_a_phone(chromium: Browser, width: int, columns: int) -> None:
    with shown(chromium, scripted(REFUSED)) as page:
        page.resize(width, 800)
        page.wait(is_there(".packet.refusal"))
        tops = page.run("[...document.querySelectorAll('section')].map(each => each.offsetLeft)")
        assert len(set(tops)) == columns
        assert page.run("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_can_be_read_in_light_and_dark(chromium: Browser, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: text has a contrast of at least 4.5 to 1."""
    with shown(chromium, scripted(REFUSED)) as page:
        page.prefer(scheme)
        page.wait(is_there(".packet.refusal"))
        assert page.run(_LEAST_CONTRAST) >= 4.5


_LEAST_CONTRAST: Final = """(() => {
  const numbers = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(c => c / 255)
    .map(c => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, place) => sum + c * [.2126, .7152, .0722][place], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const color = numbers(getComputedStyle(one).backgroundColor);
      if (color[3] !== 0) return color;
    }
    return [255, 255, 255];
  };
  const words = [...document.querySelectorAll("main *, h1, #status")]
    .filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  return Math.min(...words.map(one => {
    const [a, b] = [numbers(getComputedStyle(one).color), behind(one)].map(light);
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  }));
})()"""


def test_bytes_of_the_illustrated_page_light_up_with_their_meaning(chromium: Browser) -> None:
    """From a file, by keyboard; docs/illustrated."""
    address = (ROOT / "docs" / "illustrated" / "claim.html").as_uri()
    with chromium.page(address, 390) as page:
        page.wait(
            "document.readyState === 'complete' && document.querySelectorAll('.part').length > 9"
        )
        page.run("document.querySelector('.packet .part:nth-child(2)').focus()")
        assert "remaining length" in page.text(".parts .lit")
        assert page.run("document.querySelector('figure img').naturalWidth") > 0
        assert page.run("document.documentElement.scrollWidth") <= 390
