"""MLflow as a view of the records: rebuilt from them at any time, and never read as a source."""
