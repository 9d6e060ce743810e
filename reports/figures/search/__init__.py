"""The figure of a search, and what records say of its trials."""
