"""The checks: one small function for each kind of finding."""
