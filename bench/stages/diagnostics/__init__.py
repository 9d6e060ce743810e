"""Stages that look at what others made: cheap, and asked for without computing those anew."""
