"""The parts of a batch: serial numbers, the file's lines, reports, progress."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from device.identity.csr import build_csr, subject_name
from factory.bulk.input_file import checked_csr, parameters_line
from factory.bulk.progress import PlainProgress, progress_on
from factory.bulk.reports import download, is_ours
from factory.bulk.screen import screen_on
from factory.errors import (
    BATCH,
    CLOUD_NOT_REACHABLE,
    CSR_UNACCEPTABLE,
    SERIAL_NUMBERS,
    CloudRejectedError,
    StationError,
)
from factory.station.serial_list import Row, Rows, check_batch_name, counted, read_from, read_rows
from tests.support.certificates import new_key
from tests.support.errors import raises
from tests.support.hang import SECONDS, join

SUBJECT = subject_name({"common_name": "SN-1"})
KEY = new_key()


def test_counted_serial_numbers_follow_the_batch() -> None:
    assert counted("lot-7", 2) == ["lot-7-0001", "lot-7-0002"]
    assert counted("x", 10_000)[-1] == "x-10000"


@pytest.mark.parametrize("count", [0, -1])
def test_no_device_is_no_batch(count: int) -> None:
    with raises(SERIAL_NUMBERS):
        counted("lot", count)


def test_listed_serial_numbers_may_have_comments_and_empty_lines(tmp_path: Path) -> None:
    file = tmp_path / "serials.txt"
    file.write_text("# first shift\nSN-1\n\n  SN-2   # blue\n")
    assert read_from(file) == ["SN-1", "SN-2"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("SN-1\na/b\n", "line 2: 'a/b' cannot be a serial number"),
        ("SN-1\n\nSN-1\n", "line 3: SN-1 is already in line 1"),
        ("# nothing\n", "holds no serial number"),
        ("SN-1 SN-2\n", "line 1"),
        ("\xff", "cannot be read"),
    ],
)
def test_bad_line_is_named_with_its_file_and_number(
    tmp_path: Path, content: str, problem: str
) -> None:
    file = tmp_path / "serials.txt"
    file.write_bytes(content.encode("latin-1"))
    with raises(SERIAL_NUMBERS, match=problem) as raised:
        read_from(file)
    assert "serials.txt" in str(raised.value)


def test_list_without_an_end_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", Path("/dev/zero")):
        with raises(SERIAL_NUMBERS, match="is not a regular file"):
            read_from(path)


def test_missing_list_is_named(tmp_path: Path) -> None:
    with raises(SERIAL_NUMBERS, match=r"none.txt: no such file"):
        read_from(tmp_path / "none.txt")


@given(st.text(max_size=50))
def test_batch_names_are_safe_in_paths_and_keys(name: str) -> None:
    try:
        check_batch_name(name)
    except StationError as error:
        assert error.row is BATCH  # noqa: PT017 - or it is safe
        return
    assert 0 < len(name) <= 40
    assert all(each.isascii() and (each.isalnum() or each in "-_") for each in name)


class Device:
    """A device that answers with whatever CSR it is given."""

    public_key = KEY.public_key()
    subject = SUBJECT

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def csr(self) -> str:
        return self._answer


def with_a_flipped_bit(csr_pem: str) -> str:
    der = bytearray(x509.load_pem_x509_csr(csr_pem.encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1  # the last byte of the signature
    return x509.load_der_x509_csr(bytes(der)).public_bytes(Encoding.PEM).decode()


def test_csr_of_the_device_passes() -> None:
    csr = build_csr(KEY, SUBJECT)
    assert checked_csr(Device(csr)) == csr  # type: ignore[arg-type] # as far as it is asked


@pytest.mark.parametrize(
    ("csr", "problem"),
    [
        (with_a_flipped_bit(build_csr(KEY, SUBJECT)), "not signed by its own key"),
        (build_csr(new_key(), SUBJECT), "another key or subject"),
        (build_csr(KEY, subject_name({"common_name": "SN-2"})), "another key or subject"),
        ("garbage", "CSR cannot be read"),
    ],
    ids=["signature", "key", "subject", "garbage"],
)
def test_csr_without_proof_of_possession_is_refused(csr: str, problem: str) -> None:
    with raises(CSR_UNACCEPTABLE, match=problem):
        checked_csr(Device(csr))  # type: ignore[arg-type] # as far as it is asked


def test_file_has_one_line_a_device() -> None:
    line = parameters_line("SN-1", "-----BEGIN\n...\n-----END\n")
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")


@contextmanager
def serving(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()
            self.wfile.write(b"a report")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = SECONDS
        thread = threading.Thread(target=server.handle_request, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        join(thread)


def test_report_is_fetched_from_the_local_aws() -> None:
    with serving(200) as url:
        assert download(f"{url}/report", {"AWS_ENDPOINT_URL": url}) == b"a report"


def test_report_that_is_not_handed_out_is_a_rejection() -> None:
    with serving(403) as url, pytest.raises(CloudRejectedError, match="403"):
        download(f"{url}/report", {"AWS_ENDPOINT_URL": url})


def test_report_that_is_too_long_is_not_read() -> None:
    with serving(200) as url, pytest.raises(CloudRejectedError, match="longer than 7 bytes"):
        download(f"{url}/report", {"AWS_ENDPOINT_URL": url}, largest=7)


def test_redirect_of_a_report_is_not_followed() -> None:
    with serving(302) as url, pytest.raises(CloudRejectedError, match="302"):
        download(f"{url}/report", {"AWS_ENDPOINT_URL": url})


def test_nobody_answers() -> None:
    with raises(CLOUD_NOT_REACHABLE):
        download("http://localhost:1/report", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})


@pytest.mark.parametrize(
    "url",
    [
        "http://reports.example/1", "https://reports.example/1", "file:///etc/passwd",
        "file://localhost/etc/passwd", "ftp://localhost/x", "data:,x", "no url", "https://[", "",
        "http://s3.eu-central-1.amazonaws.com/b/k", "https://s3.amazonaws.com@evil.example/k",
        "https://s3.amazonaws.com.evil.example/k", "http://localhost:4567/k",
        "https://b.s3.eu-central-1.amazonaws.com:8443/k", "http://127.0.0.1/k",
        "http://localhost:99999/k",
    ],
)  # fmt: skip
def test_report_is_fetched_from_nowhere_else(url: str) -> None:
    with pytest.raises(CloudRejectedError, match="refused to fetch a report from"):
        download(url, {"AWS_ENDPOINT_URL": "http://localhost:4566"})


@pytest.mark.parametrize(
    "url",
    [
        "https://b.s3.eu-central-1.amazonaws.com/k?X-Amz-Signature=secret",
        "https://s3.eu-central-1.amazonaws.com/b/k", "https://b.s3.cn-north-1.amazonaws.com.cn/k",
        "https://b.s3.amazonaws.com/k", "http://localhost:4566/b/k", "http://127.0.0.1:4566/b/k",
    ],
)  # fmt: skip
def test_report_in_s3_or_in_the_local_aws_may_be_fetched(url: str) -> None:
    assert is_ours(url, {"AWS_ENDPOINT_URL": "http://localhost:4566"})


def test_signature_of_a_link_is_not_told() -> None:
    with pytest.raises(CloudRejectedError) as raised:
        download("http://x.example/k?X-Amz-Signature=5ec4e7", {})
    assert "5ec4e7" not in str(raised.value)


def test_plain_progress_is_at_most_ten_lines_a_stage() -> None:
    lines: list[str] = []
    progress = PlainProgress(lines.append)
    progress.begin("CSRs", 1000)
    for done in range(1, 1001):
        progress.advance(done)
    progress.begin("none", 0)
    progress.advance(0)
    progress.say("a word")
    assert lines[0] == "CSRs: 100 of 1000"
    assert lines[9] == "CSRs: 1000 of 1000"
    assert lines[10:] == ["a word"]


def test_plain_lines_where_there_is_no_terminal() -> None:
    lines: list[str] = []
    with progress_on(io.StringIO(), lines.append) as progress:
        progress.begin("CSRs", 1)
        progress.advance(1)
    assert lines == ["CSRs: 1 of 1"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    screen = Terminal()
    with progress_on(screen, lambda _: None) as progress:
        progress.advance(1)
        progress.begin("lines registered", 2)
        progress.advance(2)
        progress.say("[a word]")
    assert "lines registered" in screen.getvalue()
    assert "2/2" in screen.getvalue()
    assert "[a word]" in screen.getvalue()


def test_person_on_the_line_sees_pass_and_fail_and_how_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    terminal = Terminal()
    with screen_on(terminal, lambda _: None, 2) as screen:
        screen.show("SN-1", "c0ffee", is_good=True)
        screen.show("SN-2", "the disk [is] full", is_good=False)
    shown = terminal.getvalue()
    for words in ("PASS", "SN-1", "FAIL", "SN-2", "the disk [is] full", "1 PASS", "1 FAIL", "2/2"):
        assert words in shown


def test_log_of_the_line_has_a_plain_line_for_each_device() -> None:
    lines: list[str] = []
    with screen_on(io.StringIO(), lines.append, 2) as screen:
        screen.show("SN-1", "c0ffee", is_good=True)
        screen.show("SN-2", "the disk is full", is_good=False)
    assert [each.split() for each in lines] == [
        ["PASS", "SN-1", "c0ffee"], ["FAIL", "SN-2", "the", "disk", "is", "full"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfSN-1\nSN-2\n", b"SN-1\r\nSN-2\r\n", b"SN-1\rSN-2",
        b"\n\n  SN-1  \n\tSN-2\t\n\n",
        b"\xef\xbb\xbf\r\nSN-1 # the first\r\nSN-2",
    ],
)  # fmt: skip
def test_list_is_read_as_any_system_writes_it(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "serials"
    file.write_bytes(content)
    assert read_from(file) == ["SN-1", "SN-2"]


@pytest.mark.parametrize(
    ("content", "because"),
    [
        ("serial,SN\nSN-1,2\n", "line 1: serial and SN both look like the serial number"),
        ("serial,Color,Color\nSN-1,a,b\n", "line 1: the column Color is there twice"),
        ("serial,a b\nSN-1,2\n", "line 1: 'a b' cannot be a column"),
        ("serial,Color\nSN-1\n", "line 2: it has 1 cells, and there are 2 columns"),
        ("serial,Color\nSN-1,a,b\n", "line 2: it has 3 cells"),
        ("serial,Color\n,red\n", "line 2: '' cannot be a serial number"),
        ("serial,Color\nSN-1,red\nSN-1,blue\n", "line 3: SN-1 is already in line 2"),
        ('serial,Color\nSN-1,"red\n', "line 2: it is not CSV"),
        ("serial,Color\nSN-1,a\x07\n", "line 2: Color holds a character"),
        (f"serial,Color\nSN-1,{'x' * 801}\n", "line 2: Color has more than 800"),
        ("serial,Color\n", "holds no serial number"),
        ("SN-1,red\n", "line 1: it has several cells"),
        ("SN-1\r\n\r\nSN-1\r\n", "line 3: SN-1 is already in line 1"),
        ("SN-1\u2028SN-2\n", "line 1"),
        ("SN-1,SN-2\n", "line 1"),
        ("SN-1\n\x00\n", "line 2"),
        ("SN-1\n" + "x" * 65, "line 2"),
    ],
)
def test_list_that_cannot_be_meant_is_refused_by_its_line(
    content: str, because: str, tmp_path: Path
) -> None:
    file = tmp_path / "serials"
    file.write_text(content, newline="")
    with raises(SERIAL_NUMBERS, match=because):
        read_from(file)


@pytest.mark.parametrize(
    "content",
    [
        "serial,Color,Line\nSN-1,red,4\nSN-2,,5\n",
        "\ufeffserial,Color,Line\r\n\r\n# first shift\r\nSN-1,red,4\r\nSN-2,,5",
        'Color,"Serial Number",Line\nred,SN-1,4\n,"SN-2",5\n',
        "serial;Color;Line\nSN-1;red;4\nSN-2;;5\n",
        "serial\tColor\tLine\nSN-1\tred\t4\nSN-2\t\t5\n",
        " SN , Color , Line \n SN-1 , red , 4 \n SN-2 , , 5 \n",
    ],
)
def test_columns_are_read_as_any_spreadsheet_writes_them(content: str, tmp_path: Path) -> None:
    file = tmp_path / "serials.csv"
    file.write_text(content, newline="")
    assert list(read_rows(file)) == [
        Row("SN-1", (("Color", "red"), ("Line", "4"))), Row("SN-2", (("Line", "5"),)),
    ]  # fmt: skip


@pytest.mark.parametrize("heading", ["serial", "Serial_Number", "SN", "\n# list\nserialno"])
def test_one_column_may_have_a_heading(heading: str, tmp_path: Path) -> None:
    file = tmp_path / "serials"
    file.write_text(f"{heading}\nSN-1\n")
    assert read_from(file) == ["SN-1"]


@given(st.text(max_size=80))
def test_list_is_read_or_refused_whatever_is_in_it(text: str) -> None:
    try:
        rows = list(Rows(Path("serials.csv"), text))
    except StationError as error:
        assert error.row is SERIAL_NUMBERS  # noqa: PT017 - or it is read
        return
    assert len({row.serial_number for row in rows}) == len(rows) > 0


@pytest.mark.parametrize("serial", ["SN-1", "SN1", "serial-7", "SN:A"])
def test_serial_number_that_only_begins_like_a_heading_is_none(serial: str, tmp_path: Path) -> None:
    file = tmp_path / "serials"
    file.write_text(f"{serial}\n")
    assert read_from(file) == [serial]
