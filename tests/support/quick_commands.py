"""The commands (``device``, ``factory``, ``localcloud``, ``aws``) that start at once: forks.

Most of a short command is the import of its libraries. Here one process has imported them; each
command is a fork of it, with the directory, environment, arguments and streams of who typed it.
It is a process of its own in all that a shell sees: output, exit code, signals. What a start from
nothing does is shown elsewhere (tests/wire/test_wheel.py, test_device_boot.py).
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NoReturn

import boto3

import device
import factory
import localcloud.verbs
from tests.support import quick_sdk
from tests.support.hang import SECONDS, line_from
from tests.wire.conftest import ROOT, python

PROGRAMS: Final = {
    "device": "device.cli",
    "factory": "factory.cli",
    "localcloud": "localcloud.cli",
    "aws": "tests.support.aws_cli",
}
_SERVICES: Final = ("iot", "iot-data", "iam", "lambda", "dynamodb", "logs", "kms", "s3", "sts")
_MOST: Final = 1 << 20
"""Bytes of a command with its environment."""

_COMMAND: Final = """\
#!{python} -ISs
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({place!r})
    told = {{"words": ["{name}", *sys.argv[1:]], "folder": os.getcwd()}}
    told["environment"] = dict(os.environ)
    socket.send_fds(server, [json.dumps(told).encode()], [0, 1, 2])
    server.shutdown(socket.SHUT_WR)
    answers = server.makefile()
    process = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: os.kill(process, number))
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
"""


@contextmanager
def quick_commands(folder: Path) -> Iterator[Path]:
    """Yield a folder for PATH that has the commands."""
    place = folder / "server"
    server = subprocess.Popen(
        python("-m", "tests.support.quick_commands", str(place)),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    for name in PROGRAMS:
        command = folder / name
        command.write_text(_COMMAND.format(python=sys.executable, place=str(place), name=name))
        command.chmod(0o755)
    try:
        assert line_from(server, server.stdout) == "ready\n"
        yield folder
    finally:
        server.kill()
        server.communicate(timeout=SECONDS)


def serve(place: str) -> NoReturn:
    """Take commands until this process is killed."""
    _import_all()
    gc.freeze()  # a fork copies no page of it, only because it counts references
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(16)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            command, _ = listener.accept()
            with command:
                _bury()
                if os.fork() == 0:
                    listener.close()
                    _run(command)


def _import_all() -> None:
    """Import what the commands need, and have the SDK read its models, which takes longest."""
    for package in (device, factory, localcloud.verbs):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    for program in PROGRAMS.values():
        importlib.import_module(program)
    quick_sdk.install()
    for service in _SERVICES:
        boto3.client(service, region_name="us-east-1")


def _bury() -> None:
    """Forget those who waited for earlier commands."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _run(command: socket.socket) -> NoReturn:
    """Fork once more: one half runs the command, the other tells how it ended."""
    told, streams, _, _ = socket.recv_fds(command, _MOST, 3)
    process = os.fork()
    if process:
        with command:
            command.sendall(f"{process}\n".encode())
            for stream in streams:
                os.close(stream)
            _, status = os.waitpid(process, 0)
            command.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
        os._exit(0)
    command.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    what = json.loads(told)
    os.chdir(what["folder"])
    os.environ.clear()
    os.environ.update(what["environment"])
    sys.argv = what["words"]
    try:
        code = importlib.import_module(PROGRAMS[what["words"][0]]).main()
    except SystemExit as ended:  # argparse, which has said why
        code = ended.code
    atexit._run_exitfuncs()
    sys.stdout.flush()
    os._exit(code or 0)  # to take down what was imported takes longer than the command


if __name__ == "__main__":
    serve(sys.argv[1])
