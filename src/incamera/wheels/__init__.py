"""Distributions of the package indexes: which there are, what they say of themselves, wheels unpacked and repaired."""
