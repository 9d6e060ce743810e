"""Records put together: groups, systems, comparisons."""
