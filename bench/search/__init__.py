"""Searches of settings: what is tried next, by what was tried, and which trainings end early."""
