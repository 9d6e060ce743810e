"""Subcommands that use a tokenizer."""
