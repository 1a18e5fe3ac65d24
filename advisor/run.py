"""Runs cases: an endpoint and a client for each, until there is a verdict or the time is up."""

import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from advisor.case import Case, Finding, Given, Judge, Verdict, failed
from advisor.certificates import Authority, server_context
from advisor.client import Place, Start
from advisor.endpoint import Endpoint
from advisor.journal import Entry, Journal, What

HOST: Final = "localhost"
_GRACE_SECONDS: Final = 2.0


@dataclass(frozen=True)
class Outcome:
    """How a case ended."""

    case: Case
    finding: Finding
    seconds: float
    entries: Sequence[Entry] = ()


def run_all(
    cases: Sequence[Case],
    start: Start,
    given: Given,
    *,
    at_once: int = 1,
) -> Iterator[Outcome]:
    """Run ``cases``, several at once; yield each outcome in the order of the cases."""
    authority = Authority()
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda case: run_case(case, start, given, authority), cases)


def run_case(case: Case, start: Start, given: Given, authority: Authority) -> Outcome:
    """Run one case."""
    began = time.monotonic()
    judge = case.judge(given)
    if case.needs_template and not given.template:
        said = "give the provisioning template with --template, if the client provisions itself"
        return Outcome(case, Finding(Verdict.NOT_RUN, said), 0.0)
    if not case.needs_client:
        return Outcome(case, judge(()) or failed(case.otherwise), 0.0)
    journal = Journal()
    script = case.script(given)
    trusted = authority.root_pem + script.client_ca_pem
    context = server_context(authority.server(case.presented, HOST), trusted)
    with (
        tempfile.TemporaryDirectory(prefix="advisor-") as name,
        Endpoint(script, context, journal, time.monotonic) as endpoint,
    ):
        place = _place(Path(name), case, given, authority, endpoint.port)

        def ended(how: str) -> None:
            journal.note(What.ENDED, time.monotonic(), detail=how)

        with start(place, ended):
            finding = _verdict(case, judge, given, journal)
    return Outcome(case, finding, time.monotonic() - began, journal.entries)


def so_far(case: Case, judge: Judge, entries: Sequence[Entry]) -> Finding | None:
    """Return the verdict if there is one already: from evidence, or because the client ended."""
    end = next((e for e in entries if e.what is What.ENDED), None)
    if case.awaits_end:
        return judge(entries) if end else None
    found = judge(entries)
    return failed(f"the client ended with {end.detail}") if end and not found else found


def at_the_end(case: Case, judge: Judge, entries: Sequence[Entry], seconds: float) -> Finding:
    """Return the verdict when the time is up."""
    found = judge(entries) if case.awaits_end else None
    return found or failed(f"{case.otherwise} within {seconds:.0f} s")


def _verdict(case: Case, judge: Judge, given: Given, journal: Journal) -> Finding:
    seconds = given.soak_seconds if case.awaits_end else given.seconds
    finding = journal.wait_for(lambda entries: so_far(case, judge, entries), seconds)
    if finding and any(entry.what is What.ENDED for entry in journal.entries):
        # The endpoint may hear of the last connection after the process has ended.
        finding = journal.wait_for(judge, _GRACE_SECONDS) or finding
    return finding or at_the_end(case, judge, journal.entries, seconds)


def _place(folder: Path, case: Case, given: Given, authority: Authority, port: int) -> Place:
    client_id = given.thing_name
    own = authority.client(client_id)
    files = {"ca.pem": authority.root_pem, "client.pem": own.chain_pem}
    for name, content in files.items():
        (folder / name).write_bytes(content)
    key = folder / "client.key"
    key.touch(mode=0o600)
    key.write_bytes(own.key_pem)
    work = folder / "work"
    work.mkdir()
    return Place(
        host=HOST,
        port=port,
        ca=folder / "ca.pem",
        certificate=folder / "client.pem",
        key=key,
        client_id=client_id,
        thing=given.thing_name,
        case=case.id,
        template=given.template,
        folder=work,
    )
