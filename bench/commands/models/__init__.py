"""Subcommands that use a trained tokenizer outside the store."""
