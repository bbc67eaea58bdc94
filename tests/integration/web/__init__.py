"""Virtual cameras that are reached through their web server."""
