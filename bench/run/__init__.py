"""Running a suite: plan, executors, records."""
