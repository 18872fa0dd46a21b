"""The code by which a version answers its callers: it is copied into the version, and stays there as it was."""

import hashlib
import json
from typing import Final

from components.planning.closure import code_of

ANSWERING: Final = ("components.release.served:Served", "components.release.serving:signature")


def answering_code() -> str:
    """Return a digest of the code: where it differs, the same ONNX file makes another version."""
    code = {entry: code_of(entry, named=frozenset()) for entry in ANSWERING}
    return hashlib.sha256(json.dumps(code, sort_keys=True).encode()).hexdigest()[:16]
