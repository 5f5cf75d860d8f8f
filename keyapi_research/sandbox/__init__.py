"""A KeyAPI-compatible HTTP server on this machine, with a believable synthetic world behind it."""

from keyapi_research.sandbox.server import SOURCE_HEADER, TOKEN, Fault, Request, Sandbox
from keyapi_research.sandbox.world import WORLD_VERSION

__all__ = ["SOURCE_HEADER", "TOKEN", "WORLD_VERSION", "Fault", "Request", "Sandbox"]
