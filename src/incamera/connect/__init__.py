"""Choose the device that a command is about, connect to it, and mount its network share."""
