"""The one exception that ends a command with a single clear line and exit code 2."""


class UserError(Exception):
    """Bad input or an unusable environment: says what is wrong, where, and the remedy."""
