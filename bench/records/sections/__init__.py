"""Sections of a record that only some kinds of cells have."""
