"""What runs on a device, and where its time goes."""
