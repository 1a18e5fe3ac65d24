"""SoftHSM in a process of another user, reached over a socket: p11-kit's server."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from device.storage.element.installation import InstalledElement
from device.storage.element.pkcs11_uri import Pkcs11Uri
from tests.support.elements import PIN, skip_without, softhsm_module
from tests.support.hang import SECONDS


@dataclass
class KeyServer:
    """One token, and who may use it without reading it."""

    folder: Path
    label: str
    client: Path
    user: str
    """Whose processes hold the keys; another than ours, if we may choose."""
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return self.folder / "keys.sock"

    @property
    def element(self) -> InstalledElement:
        """What the station tells a device of it."""
        pin = self.folder / "device.pin"
        if not pin.exists():
            pin.touch(mode=0o600)
            pin.write_text(f"{PIN}\n")
        uri = Pkcs11Uri(token=self.label, module_path=self.client, pin_source=pin)
        return InstalledElement(str(uri), {"P11_KIT_SERVER_ADDRESS": f"unix:path={self.socket}"})

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a command as the user who has the keys."""
        account = pwd.getpwnam(self.user)
        return subprocess.Popen(
            command,
            user=account.pw_uid,
            group=account.pw_gid,
            extra_groups=[] if os.geteuid() == 0 else None,
            env={**os.environ, "SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")},
            stdout=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Serve the token."""
        self.socket.unlink(missing_ok=True)
        provider = str(softhsm_module())
        words = ("--foreground", "--name", str(self.socket), "--provider", provider)
        self._processes.append(self.run("p11-kit", "server", *words, f"pkcs11:token={self.label}"))
        deadline = time.monotonic() + SECONDS
        while not self.socket.exists():
            assert time.monotonic() < deadline, "p11-kit's server did not come up"
            time.sleep(0.02)  # another process is awaited: there is no clock to hand in

    def stop(self) -> None:
        """Stop serving."""
        while self._processes:
            process = self._processes.pop()
            process.terminate()
            process.wait(timeout=SECONDS)


def client_module() -> Path:
    """Return p11-kit's module that asks a server, or skip."""
    found = sorted(Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"))
    if not found or not shutil.which("p11-kit"):
        skip_without("p11-kit is not installed")
    return found[0]


@contextmanager
def key_server(label: str) -> Iterator[KeyServer]:
    """A server of a new token; root lets ``nobody`` have the keys, others have them themselves."""
    client, us = client_module(), pwd.getpwuid(os.geteuid()).pw_name
    user = "nobody" if us == "root" else us
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        server = KeyServer(Path(name), label, client, user)
        configuration, tokens = server.folder / "softhsm2.conf", server.folder / "tokens"
        tokens.mkdir(mode=0o700)
        configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        for path in (server.folder, configuration, tokens):
            shutil.chown(path, user)
        words = ("--init-token", "--free", "--label", label, "--so-pin", PIN[::-1], "--pin", PIN)
        assert server.run("softhsm2-util", *words).wait(timeout=SECONDS) == 0
        server.start()
        try:
            yield server
        finally:
            server.stop()
