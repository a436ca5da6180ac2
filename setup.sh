#!/usr/bin/env bash
# Makes a virtual environment with mmspec, every extra and the tested versions: ./setup.sh [FOLDER]
# Where requirements.lock lies beside it (see `make lock`), the files that it names by their hashes, and no others.
set -euo pipefail
cd "$(dirname "$0")"
venv=${1:-.venv}

"${PYTHON:-python3}" - <<'PY'
import sys
if sys.version_info < (3, 11):
    sys.exit(f"mmspec needs Python 3.11 or newer, this is {sys.version.split()[0]}: set PYTHON=/path/to/python3.11")
PY
"${PYTHON:-python3}" -m venv "$venv"
install() { # Python compiles what is imported when it is, most of these files never
  "$venv/bin/python" -m pip install --quiet --no-compile "$@"
}

if [[ -f requirements.lock ]]; then
  install --require-hashes --requirement requirements.lock
  install --no-deps --editable .
else
  install --constraint constraints.txt --editable ".[trackers,eval-image,text,gallery,docs,dev]"
  # PESQ is compiled as it is installed; without a C compiler its metrics are left out.
  install --constraint constraints.txt --editable ".[eval-speech]" ||
    echo "mmspec works without PESQ and STOI, which need a C compiler and its Python headers." >&2
  # Drives a Chromium that is on the machine; none is downloaded.
  install --constraint constraints.txt --editable ".[browser]" ||
    echo "mmspec works without playwright, which has no package for this platform; its pages are then not tested." >&2
fi

# torchaudio's wheel links CUDA, so beside a CPU build of torch its import fails on its compiled files.
# mmspec uses its Python parts only (resampling, mel filters), which work without them.
if ! "$venv/bin/python" -c "import torchaudio" 2>/dev/null; then
  "$venv/bin/python" - <<'PY'
import importlib.util
from pathlib import Path

for library in (Path(importlib.util.find_spec("torchaudio").origin).parent / "lib").glob("*.so"):
    library.unlink()
PY
  "$venv/bin/python" -c "import torchaudio"
fi
