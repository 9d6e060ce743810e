"""Running on Ray: its session, its nodes, the one Tune run of a suite."""
