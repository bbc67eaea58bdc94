"""The log of each run on the host: what it printed, when, and how it ended."""
