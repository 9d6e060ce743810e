"""The graph of stages that a suite needs."""
