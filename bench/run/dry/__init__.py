"""Dry runs: every stage of a suite for a few steps, on images that are made up."""
