"""Hypervolume of points in two objectives, for those who read results."""

from adatok_core.hypervolume import hypervolume

__all__ = ["hypervolume"]
