"""The store of artifacts, and computing a stage into it."""
