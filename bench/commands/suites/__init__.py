"""Subcommands about suites, their records and their store."""
