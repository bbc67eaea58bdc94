#!/bin/sh
# The camera's end of the virtio port to its host. The host saves the camera's state when it reads `ready`. Then it sends
# requests, lines `WORD NUMBER ARGUMENTS`, and waits for `NUMBER ANSWER`. The answer to the first, `wake`, is `awake`.
# A time is a `struct timespec`, in the notation of printf.
. /usr/sbin/incamera-disks

for port in /sys/class/virtio-ports/*; do
    if [ "$(cat "$port/name")" = incamera ]; then device=/dev/${port##*/}; fi
done
exec 3<>"$device"
# What serves the camera's users: `ssh`, `web`.
read -r services </etc/incamera-services
case $services in
    # The back end is loaded, and waits for its settings.
    *web*) until [ -p /run/axis/wake ]; do sleep 0.1; done ;;
esac
until [ -S /run/incamera-camera/socket ]; do sleep 0.1; done
echo ready >&3

# Neither function starts a process, which it would find.
# Sets $own to the user-space processes. A kernel thread has no program.
note_processes() {
    own=" "
    for program in /proc/[0-9]*/exe; do
        if [ -e "$program" ]; then own="$own$program "; fi
    done
}

# Whether a process called $1 is one of the camera's servers. The web server starts processes anew when an app is installed,
# SSH can be switched on later, and what has crashed or was killed starts anew, with all that belongs to it.
is_server() {
    case $1 in
        axis-httpd | axis-back-end | incamera-back-e | camera-service | dbus-daemon | dropbear | sshd) ;;
        *) false ;;
    esac
}

# Sets $use to what uses the camera: a mounted share, or a process that was not there when it woke.
find_use() {
    use=nothing
    while read -r _ folder filesystem _; do
        case $filesystem in
            cifs | nfs*) use="mount $folder" ;;
        esac
    done </proc/mounts
    for program in /proc/[0-9]*/exe; do
        case $own in
            *" $program "*) ;;
            *)
                process=${program%/exe}
                if [ -e "$program" ] && read -r name <"$process/comm" && ! is_server "$name"; then
                    use="process ${process#/proc/} ($name)"
                fi
                ;;
        esac
    done
}

while read -r word number time name address random settings devices <&3; do
    case $word in
        wake)
            printf "$time" | set-clock
            echo "$random" >/dev/urandom
            reseed </dev/urandom || echo "cannot reseed the kernel's random numbers"
            # Those of the camera's chip, for the service behind its libraries.
            if [ "$devices" != - ]; then echo "$devices" >/run/incamera-camera/devices; fi
            # Started only now: started before, it would have read random numbers that the saved state contains.
            starters=
            case $services in *ssh*) incamera-ssh & starters=$! ;; esac
            hostname "$name"
            ip link set eth0 address "$address"
            take_disks
            each_disk mount_or_format_disk
            case $services in *web*) incamera-web "$settings" & starters="$starters $!" ;; esac
            wait $starters
            note_processes
            answer=awake
            # By the back end: an app does not fit this AXIS OS.
            if [ -e /run/axis/refused ]; then read -r reason </run/axis/refused && answer="refused $reason"; fi
            case $services in *web*) : >/run/axis/noted ;; esac
            echo "$number $answer" >&3
            ;;
        clock)
            printf "$time" | set-clock
            echo "$number set" >&3
            ;;
        scene)
            # Read by the service of the camera's libraries. What is the time for others is its number.
            echo "$time" >/run/incamera-camera/scene
            echo "$number set" >&3
            ;;
        use)
            find_use
            echo "$number $use" >&3
            ;;
        reboot) reboot ;;
    esac
done
