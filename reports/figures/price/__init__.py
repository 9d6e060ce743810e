"""Figures of the price of being elastic."""
