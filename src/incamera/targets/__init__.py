"""What bundles are built for: architectures, Debian suites, targets and camera profiles. Facts are in `data/`."""
