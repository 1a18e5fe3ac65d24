"""What a task brings back: certificates into their devices, problems to their lines."""

from collections.abc import Iterable
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from device.errors.storage import StorageExistsError
from factory.account.registration_failure import next_step_for
from factory.bulk.context import BatchContext, installed_certificate_id, problems_of
from factory.bulk.input_file import fingerprint
from factory.bulk.journal import Attempt, Batch, Line
from factory.bulk.reports import issued_certificates, refusals
from factory.bulk.task import Ended, Status, follow_task

_UNANSWERED: Final = "AWS's reports say nothing about it"


def collect(context: BatchContext, batch: Batch, attempt: Attempt) -> None:
    """Follow the task of ``attempt``, and install what it brings.

    Raises:
        CloudError: AWS did not answer, or said no; the next run continues from here.
        StorageError: the disk refused; the same.
    """
    by_serial_number = batch.by_serial_number()
    lines = [by_serial_number[each] for each in attempt.serial_numbers.values()]
    context.progress.begin("lines registered", len(lines))
    ended = follow_task(context.cloud, str(attempt.task_id), context.progress, context.sleep)
    issued = _by_serial_number(context, attempt, ended.task_id)
    for line in context.counted("certificates installed", lines):
        if line.serial_number in issued:
            with problems_of(line):
                _install(context, line, issued[line.serial_number])
    _explain(context, lines, ended)
    batch.attempt = None
    context.journal.save(batch)


def _by_serial_number(context: BatchContext, attempt: Attempt, task_id: str) -> dict[str, bytes]:
    """Return the certificates of the report: each belongs where its key is."""
    issued = {}
    for pem in issued_certificates(context.cloud, task_id, context.download):
        serial_number = attempt.serial_numbers.get(_fingerprint(pem))
        if serial_number is None:
            context.progress.say("AWS reports a certificate for no device of this batch")
        else:
            issued[serial_number] = pem
    return issued


def _fingerprint(certificate_pem: bytes) -> str:
    """Return the fingerprint of the certificate's key; "" if no device can have such a key."""
    try:
        key = x509.load_pem_x509_certificate(certificate_pem).public_key()
    except ValueError:
        return ""
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        return ""
    return fingerprint(key)


def _install(context: BatchContext, line: Line, pem: bytes) -> None:
    try:
        with context.device(line) as device:
            line.certificate_id = device.finish(pem)
    except StorageExistsError:
        # Finished by a run that was stopped before it could write it down.
        line.certificate_id = installed_certificate_id(line)


def _explain(context: BatchContext, lines: list[Line], ended: Ended) -> None:
    """Give each line that is still open a problem, in AWS's words where there are some."""
    unanswered = [index for index, line in enumerate(lines) if line.is_open]
    if not unanswered:
        return
    said, others = refusals(context.cloud, ended.task_id, unanswered, context.download)
    _pass_on(context, others)
    general = _UNANSWERED if ended.status is Status.COMPLETED else _as_text(ended)
    for index in unanswered:
        problem = said.get(index, general)
        lines[index].fail(problem, next_step_for(problem, context.method))


def _pass_on(context: BatchContext, words: Iterable[str]) -> None:
    for each in words:
        context.progress.say(f"in AWS's report of errors: {each}")


def _as_text(ended: Ended) -> str:
    return f"the task ended as {ended.status}: {ended.message}".rstrip(": ")
