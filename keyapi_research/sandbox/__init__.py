"""A KeyAPI-compatible HTTP server on this machine, with a believable synthetic world behind it."""

from ..settings import SOURCE_HEADER
from .answers import Fault, Request
from .server import TOKEN, Sandbox, runs_at
from .world import WORLD_VERSION

__all__ = ["SOURCE_HEADER", "TOKEN", "WORLD_VERSION", "Fault", "Request", "Sandbox", "runs_at"]
