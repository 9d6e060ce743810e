"""Intervals, bootstrap, power."""
