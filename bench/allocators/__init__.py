"""Allocators: what gives each image a token budget, behind one protocol."""
