"""Putting and getting in a process of its own, to be killed or measured."""

import os
import subprocess
import sys
from pathlib import Path

from tests.components.store.conftest import BUCKET
from tests.servers.s3 import S3Server

CODE = """
import sys
from pathlib import Path
from components.store.address import blobs_at
blobs = blobs_at(sys.argv[1], cache=Path(sys.argv[2]))
print(blobs.put(Path(sys.argv[4])) if sys.argv[3] == "put" else blobs.get(sys.argv[4]))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def child(
    s3: S3Server, verb: str, what: object, *, prefix: str, cache: Path, endpoint_url: str = ""
) -> "subprocess.Popen[str]":
    """Start a child that puts a file or gets a digest, and prints what it has in return and its peak memory in KiB."""
    variables = {**os.environ, "AWS_ENDPOINT_URL": endpoint_url or s3.endpoint_url}
    command = [sys.executable, "-c", CODE, f"s3://{BUCKET}/{prefix}", str(cache), verb, str(what)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables)
