#!/bin/sh
# The camera's end of the virtio port to its host. The host saves the camera's state when it reads `ready`. After every
# resume it sends `wake <epoch> <host name> <MAC address> <random bytes in hexadecimal>`, and waits for `awake`.
for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name")" = incamera ]; then device=/dev/${port##*/}; fi
done
exec 3<>"$device"
echo ready >&3
while read -r word epoch name address random <&3; do
    [ "$word" = wake ] || continue
    date -s "@$epoch" >/dev/null
    echo "$random" >/dev/urandom
    reseed </dev/urandom || echo "cannot reseed the kernel's random numbers"
    # Started only now: started before, it would have read random numbers that the saved state contains.
    incamera-ssh &
    hostname "$name"
    ip link set eth0 address "$address"
    wait $!
    echo awake >&3
done
