#!/bin/sh
# Starts dropbear, and ends when it listens. The options say who logs in how.
# -W: the receive window, in bytes. With dropbear's default of 24 kB, the connection would often be idle.
exec dropbear $(cat /etc/incamera-ssh-options) -W 1048576 -r /etc/dropbear/ed25519 -P /run/incamera-ssh.pid
