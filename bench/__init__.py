"""The harness: data, banks, metrics, stages, suites, executors and the command line."""
