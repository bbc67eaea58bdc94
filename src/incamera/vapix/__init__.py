"""The web APIs of cameras (VAPIX): a client that logs in, and a function for each call that incamera makes."""
