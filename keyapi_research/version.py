"""The version of this package, and of others for a report: never a reason to fail."""

from __future__ import annotations

from importlib import metadata

__version__ = "0.2.0.dev0"


def versions(*libraries: str) -> dict[str, str]:
    """Return the versions of this package and of some libraries, by their names."""
    return {"keyapi-research": __version__, **{name: _installed(name) for name in libraries}}


def _installed(library: str) -> str:
    """Look up a version; a source tree on the path, or a folder of somebody else, may have none that can be read."""
    try:
        return metadata.version(library) or "unknown"
    except Exception:  # noqa: BLE001 - whatever is wrong with an installation
        return "unknown"
