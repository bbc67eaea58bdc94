"""Building: what is made of a lock and a project, each part only when it is stale."""
