# The camera's flash and SD card; boot.sh and link.sh read this file. /etc/places lists them.

# The kernel forgets all that it knows of the disks.
release_disks() {
    for device in /sys/bus/virtio/drivers/virtio_blk/virtio*; do
        echo "${device##*/}" >/sys/bus/virtio/drivers/virtio_blk/unbind || return
    done
}

take_disks() {
    for device in /sys/bus/virtio/devices/*; do
        read -r kind <"$device/device"
        # 2: a block device
        if [ "$kind" = 0x0002 ]; then echo "${device##*/}" >/sys/bus/virtio/drivers/virtio_blk/bind; fi
    done
}

# Prints the disk whose serial number is $1. The order of the disks can differ from boot to boot.
find_disk() {
    for disk in /sys/block/vd*; do
        if [ "$(cat "$disk/serial")" = "$1" ]; then echo "/dev/${disk##*/}"; fi
    done
}

# Calls $1 for each disk of the camera, with its device, file system, folder and mount options.
each_disk() {
    while read -r kind filesystem path options; do
        case $kind in
            flash | sdcard) "$1" "$(find_disk "$kind")" "$filesystem" "$path" "$options" || return ;;
        esac
    done </etc/places
}

format_disk() {
    case $2 in
        ext4) mke2fs "$1" ;;
        vfat) mkdosfs "$1" ;;
    esac >/dev/null
    mount_disk "$@"
}

mount_disk() {
    mount -t "$2" -o "$4" "$1" "$3" || return
    if [ -d "$3/lost+found" ]; then rmdir "$3/lost+found"; fi
}

# A power cut can leave a file system that the kernel does not mount.
mount_or_format_disk() {
    if ! mount_disk "$@"; then
        echo "the disk of $3 is damaged: it is formatted again"
        format_disk "$@"
    fi
}

unmount_disk() {
    umount "$3"
}
