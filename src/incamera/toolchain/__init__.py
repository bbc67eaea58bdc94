"""Building wheels for a target with their own build back ends: cross-compiled, or under emulation."""
