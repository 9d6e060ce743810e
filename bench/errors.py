"""The one exception that ends a command with a single clear line and exit code 2."""

from adatok_core.registry import suggestion

__all__ = ["UserError", "suggestion"]


class UserError(Exception):
    """Bad input or an unusable environment: says what is wrong, where, and the remedy."""
