"""What a kernel of the tests is started with, by nbclient or in JupyterLab; and the browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--no-first-run", "--disable-quic"]


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Make an environment without a key, a store, a profile or a backend for pictures of whoever runs the tests."""
    dropped = ("KEYAPI_", "PYTHONWARNINGS", "MPLBACKEND", "XDG_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    folders = {"XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache", "IPYTHONDIR": "ipython"}
    # One thread of linear algebra: two kernels at a time share two cores.
    return kept | {key: str(folder / name) for key, name in folders.items()} | {"OMP_NUM_THREADS": "1"} | more
