"""The connection holder: a process of the user's that keeps SSH connections, and agents, open between commands.

`client` is what commands use: it starts the holder where there is none, and returns a `Transport` to a device. The
holder itself is `server`. They talk over an owner-only socket in the store (`place`) in the frames of `messages`.
"""
