"""Metrics over images and over feature arrays."""
