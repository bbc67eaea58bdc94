"""What runs printed, kept on the host."""
