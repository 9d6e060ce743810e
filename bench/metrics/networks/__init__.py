"""Metric networks, each in a module that is imported where it runs."""
