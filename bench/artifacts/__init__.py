"""Reading what stages left."""
