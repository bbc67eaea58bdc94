#!/bin/sh
# Starts OpenSSH's server, and ends when it listens. Its libraries are apart from the camera's, where no app finds them:
# a login gets an environment of its own. The options say who logs in how.
mkdir -p /run/sshd
LD_LIBRARY_PATH=/usr/lib/sshd /usr/sbin/sshd $(cat /etc/incamera-ssh-options) || exit
until grep -q ':0016 0*:0000 0A' /proc/net/tcp; do sleep 0.05; done
