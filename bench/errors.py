"""The one exception that ends a command with a single clear line and exit code 2."""

from adatok_core.registry import suggestion

__all__ = ["UserError", "suggestion"]


LONGEST = 2000


class UserError(Exception):
    """Bad input or an unusable environment: says what is wrong, where, and the remedy.

    It is one line whatever it quotes: line breaks and other signs that do not print are written as
    escapes, and what is longer than `LONGEST` is cut in its middle.
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def one_line(text: str) -> str:
    """Text of others for a line of ours."""
    signs = (sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
    line = "".join(signs)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
