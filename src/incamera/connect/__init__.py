"""Which device a command is about, and the open connection to it."""
