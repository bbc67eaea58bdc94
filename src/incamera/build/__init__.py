"""Builds what a lock and a project need: wheels, runtimes, bundles and images, each only when it is stale."""
