"""The checks of the audit: one function for each kind of finding."""
