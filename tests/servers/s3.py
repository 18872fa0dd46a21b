"""A real S3 on loopback: `rclone serve s3` over a folder. Its objects are files there, by bucket and key."""

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

BUCKET = "steelyard"
RCLONE = Path(sys.executable).parent / "rclone"
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
        from boto3.session import Session

        session = Session(aws_access_key_id=self.access_key, aws_secret_access_key=self.secret_key)
        client = session.client("s3", endpoint_url=self.endpoint_url, region_name="us-east-1")
        try:
            client.create_bucket(Bucket=name)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                raise


@contextmanager
def s3_server(folder: Path, *options: str) -> Iterator[S3Server]:
    """Serve the folder until the end of the block. What changes in it by other ways is seen at once, unless told."""
    folder.mkdir(parents=True, exist_ok=True)
    access_key, secret_key = secrets.token_hex(8), secrets.token_hex(16)
    log = folder.parent / f"{folder.name}.log"
    _empty(folder).touch()
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RCLONE_", "AWS_"))}
    own["RCLONE_AUTH_KEY"] = f'"{access_key},{secret_key}"'
    options = options or ("--dir-cache-time", "1ms")
    serve = [RCLONE, "serve", "s3", "--config", "", "--addr", "127.0.0.1:0", *options, folder]
    command = ["sh", "-c", LEASH, "leash", *serve]
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
