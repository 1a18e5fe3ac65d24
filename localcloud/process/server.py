"""The process that is the local AWS: MiniStack, its gaps closed, on loopback.

It is ``localcloud up`` without ``--detach``. MiniStack reads its settings from the environment
when it is imported, so it is imported only after the environment is what it should be.
"""

import asyncio
import os
import signal
from collections.abc import Mapping
from typing import Final

from localcloud.door.access_key import AccessKey
from localcloud.door.callers import LOOPBACK
from localcloud.errors import PORT_IN_USE
from localcloud.faults.rude import Rude
from localcloud.process.ports import owner_of
from localcloud.process.state_folder import Ports, StateFolder

REGION: Final = "us-east-1"
_WATCH_SECONDS: Final = 0.25
_KEPT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "PYTHONPATH")
_SERVICES: Final = (
    "iot,iot-data,iot-jobs-data,iam,sts,s3,dynamodb,lambda,logs,events,sns,sqs,kms,"
    "secretsmanager,ssm,monitoring,tagging,cognito-idp,cognito-identity"
)


def environment(
    folder: StateFolder,
    ports: Ports,
    key: AccessKey,
    inherited: Mapping[str, str],
    log_level: str,
) -> dict[str, str]:
    """Return what the server process runs with; ``key`` is its root's.

    Little is inherited: above all no real AWS credential or profile, and no Docker daemon,
    whose containers MiniStack would tidy up.
    """
    kept = {name: inherited[name] for name in _KEPT if name in inherited}
    return kept | {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": key.id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://{LOOPBACK}:{ports.api}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "BIND_HOST": LOOPBACK,
        "DOCKER_HOST": f"unix://{folder.path / 'no-docker'}",
        "GATEWAY_PORT": str(ports.api),
        "IOT_MTLS_PORT": str(ports.mqtt),
        "LAMBDA_EXECUTOR": "local",
        "LOG_LEVEL": log_level.upper(),
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "1",
        "S3_DATA_DIR": str(folder.objects),
        "S3_PERSIST": "1",
        "SERVICES": _SERVICES,
        "SFTP_ENABLED": "0",
        "STATE_DIR": str(folder.services),
        "TMPDIR": str(folder.scratch),
    }


def serve(
    folder: StateFolder, ports: Ports, log_level: str = "warning", rude: Rude | None = None
) -> None:
    """Be the local AWS of ``folder`` until SIGINT or SIGTERM, then save.

    Raises:
        LocalCloudError: the folder is served already, a port is taken, MiniStack is not the
            one that the gap modules know.
    """
    with folder.serve(ports):
        os.umask(0o077)
        wanted = environment(folder, ports, folder.access_key(), os.environ, log_level)
        os.environ.clear()
        os.environ.update(wanted)
        with asyncio.Runner() as runner:
            runner.run(_serve(folder, ports, rude))


async def _serve(folder: StateFolder, ports: Ports, rude: Rude | None) -> None:
    from hypercorn.asyncio import serve as serve_http  # noqa: PLC0415  (see above)
    from hypercorn.config import Config  # noqa: PLC0415
    from hypercorn.utils import LifespanFailureError  # noqa: PLC0415

    from localcloud.process.cloud import Cloud  # noqa: PLC0415

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = Config()
    config.bind = [f"{LOOPBACK}:{ports.api}"]
    config.graceful_timeout = 1.0
    config.loglevel = os.environ["LOG_LEVEL"]
    cloud = Cloud(folder, ports, rude)
    watch = asyncio.create_task(_end_without(folder))
    try:
        await serve_http(cloud.application, config, shutdown_trigger=stop.wait)
    except LifespanFailureError:
        if cloud.gateway.failure is None:
            raise
        raise cloud.gateway.failure from None
    except OSError as error:
        raise PORT_IN_USE.error(
            port=ports.api, owner=owner_of(ports.api), flag="--api-port"
        ) from error
    finally:
        watch.cancel()


async def _end_without(folder: StateFolder) -> None:
    """End the process when its folder is gone: `localcloud down` could not find it any more.

    It ends at once, since to save would make the folder again.
    """
    while folder.is_still_there():
        await asyncio.sleep(_WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
