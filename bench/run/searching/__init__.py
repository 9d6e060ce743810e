"""Searches while a suite runs: what is tried next, as earlier trials end."""
