"""A KeyAPI-compatible HTTP server on this machine, with a believable synthetic world behind it."""

from keyapi_research.sandbox.server import TOKEN, Fault, Request, Sandbox
from keyapi_research.sandbox.world import WORLD_VERSION
from keyapi_research.settings import SOURCE_HEADER

__all__ = ["SOURCE_HEADER", "TOKEN", "WORLD_VERSION", "Fault", "Request", "Sandbox"]
