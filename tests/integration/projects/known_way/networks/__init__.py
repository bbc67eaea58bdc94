"""Neural networks, which the test puts here."""
