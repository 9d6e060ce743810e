"""Judging allocations and samples."""
