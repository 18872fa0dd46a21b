#!/usr/bin/env bash
# Makes or refreshes .venv from requirements.lock, and does nothing when nothing changed.
# uv installs some ten times faster than pip; it takes the wheel folders and the index that pip is configured with.
set -euo pipefail
cd "$(dirname "$0")/.."

stamp=.venv/.steelyard-stamp
here=$(pwd -P)  # which its scripts hold
wanted="$(cat requirements.lock pyproject.toml infra/environment.sh | sha256sum) $here"
if [[ -x .venv/bin/steelyard && -f $stamp && $(<"$stamp") == "$wanted" ]]; then
    exit 0
fi
started=$SECONDS

# A folder that was moved keeps the old place in its scripts: begin anew then.
if [[ -f $stamp && $(<"$stamp") != *" $here" ]] || { [[ -d .venv ]] && ! .venv/bin/python -c '' 2>/dev/null; }; then
    rm -rf .venv
fi
if [[ ! -d .venv ]]; then
    python=$(command -v python3.11 || command -v python3)
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || {
        echo "Python 3.11 is needed, $python is $("$python" -V)" >&2
        exit 1
    }
    echo "making .venv with $("$python" -V)"
    "$python" -m venv .venv
fi
[[ -x .venv/bin/uv ]] || .venv/bin/python -m pip install --quiet uv

# pip's settings, in uv's words. What is already set for uv stays.
setting() { .venv/bin/python -m pip config get "global.$1" 2>/dev/null || true; }
words() { tr -s '[:space:]' ',' | sed 's/^,//; s/,$//'; }
folders=${UV_FIND_LINKS:-$(echo "${PIP_FIND_LINKS:-$(setting find-links)}" | words)}
index=${UV_DEFAULT_INDEX:-${PIP_INDEX_URL:-$(setting index-url)}}
certificates=${SSL_CERT_FILE:-${PIP_CERT:-$(setting cert)}}
[[ -z $folders ]] || export UV_FIND_LINKS=$folders
[[ -z $index ]] || export UV_DEFAULT_INDEX=$index
[[ -z $certificates ]] || export SSL_CERT_FILE=$certificates
export UV_LINK_MODE=${UV_LINK_MODE:-copy}

# Compiled here, also where the environment keeps Python from it (PYTHONDONTWRITEBYTECODE): else every run would do it.
echo "installing and compiling $(grep -c '^[a-zA-Z]' requirements.lock) packages"
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv --requirements requirements.lock
.venv/bin/uv pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
.venv/bin/python -m compileall -q flows tasks components

echo "$wanted" > "$stamp"
echo "environment ready in $((SECONDS - started)) s"
