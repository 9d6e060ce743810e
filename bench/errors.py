"""The one exception that ends a command with a single clear line and exit code 2."""

import difflib


class UserError(Exception):
    """Bad input or an unusable environment: says what is wrong, where, and the remedy."""


def suggestion(given: str, valid: list[str]) -> str:
    """`; did you mean 'x'?`, or the list of what is valid."""
    close = difflib.get_close_matches(given, valid, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; valid: {', '.join(valid)}" if valid else ""
