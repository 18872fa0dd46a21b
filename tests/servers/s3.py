"""A real S3 on loopback: `rclone serve s3` over a folder. Its objects are files there, by bucket and key."""

import os
import re
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from flows.servers.s3_server import make_bucket, server_command, server_variables

BUCKET = "steelyard"
START_SECONDS = 60.0
LEASH = '"$@" </dev/null & child=$!; cat >/dev/null; kill $child; wait $child'  # ends when this process does
ADDRESS = re.compile(r"Starting s3 server on \[(http://[0-9.]+:[0-9]+)/?\]")


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Server:
    """Where a server listens, who may ask, and the folder in which it keeps `BUCKET/KEY`."""

    endpoint_url: str
    access_key: str
    secret_key: str
    folder: Path

    def variables(self) -> dict[str, str]:
        """Return the environment in which boto3, DVC and MLflow find the server, and no settings of this machine."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(_empty(self.folder)),  # DVC takes no /dev/null for a file
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket, if it isn't there."""
        make_bucket(name, endpoint_url=self.endpoint_url, access_key=self.access_key, secret_key=self.secret_key)


@contextmanager
def s3_server(folder: Path, *options: str) -> Iterator[S3Server]:
    """Serve the folder until the end of the block. What changes in it by other ways is seen at once, unless told."""
    folder.mkdir(parents=True, exist_ok=True)
    access_key, secret_key = secrets.token_hex(8), secrets.token_hex(16)
    log = folder.parent / f"{folder.name}.log"
    _empty(folder).touch()
    own = server_variables(access_key=access_key, secret_key=secret_key)
    options = options or ("--dir-cache-time", "1ms")
    command = ["sh", "-c", LEASH, "leash", *server_command(folder, address="127.0.0.1:0", options=options)]
    with (
        log.open("wb") as told,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=told, stderr=told, env=own) as process,
    ):
        try:
            yield S3Server(
                endpoint_url=_address(process, log), access_key=access_key, secret_key=secret_key, folder=folder
            )
        finally:
            process.communicate()  # closes the pipe, and so the server


def _empty(folder: Path) -> Path:
    return folder.parent / f"{folder.name}.config"


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if found := ADDRESS.search(log.read_text("utf-8", "replace")):
            return found[1]
        time.sleep(0.02)
    raise RuntimeError(f"the S3 server did not start: {log.read_text('utf-8', 'replace')}")
