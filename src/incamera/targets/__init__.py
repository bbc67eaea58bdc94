"""What is built for: architectures, suites, targets and profiles, as values with data files."""
