#!/bin/sh
# Gives the back end its settings, $1 in base64, and ends when the web server answers.
umask 077
echo "$1" | base64 -d >/run/axis/settings.new
mv /run/axis/settings.new /run/axis/settings
if [ -p /run/axis/wake ]; then : >/run/axis/wake; fi
until [ -e /run/axis/ready ]; do sleep 0.05; done
