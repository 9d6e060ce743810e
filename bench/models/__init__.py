"""Trained tokenizers outside the store: export, encode, decode."""
