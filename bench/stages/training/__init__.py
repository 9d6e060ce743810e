"""How stages train: on one process or on several ranks, and with which arithmetic."""
