"""Tokenizers of someone else, as the harness sees them."""
