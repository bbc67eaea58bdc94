#!/bin/busybox sh
# Process 1 of a virtual camera, until it starts BusyBox's init. The file /etc/places lists the folders to mount.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
/bin/busybox --install -s
. /usr/sbin/incamera-disks

# Ends QEMU. The process that started it then shows the console's output.
fail() {
    echo "cannot boot: $*"
    poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts -o mode=0620,ptmxmode=0666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -snf /proc/self/fd /dev/fd

for module in virtio_mmio virtio_net virtio_blk virtio_console virtio_balloon loop; do
    modprobe "$module" || fail "modprobe $module"
done
ip link set lo up
ip address add 10.0.2.15/24 dev eth0
ip link set eth0 up
ip route add default via 10.0.2.2

while read -r kind filesystem path options; do
    mkdir -p "$path"
    case $kind in
        ram) mount -t "$filesystem" -o "$options" "$filesystem" "$path" || fail "mount $path" ;;
    esac
done </etc/places

# Apps of all users share events and messages, and save pictures, where only root may make folders.
mkdir -pm 777 /run/incamera-events /run/incamera-messages
mkdir -pm 1777 /run/incamera-pictures

# The saved state must know nothing of the disks: a restarted camera is resumed from it, with disks that have changed.
# So the disks are formatted now, but mounted only by link.sh. Mounting them here loads the modules of the file systems.
each_disk format_disk || fail "format $path"
each_disk unmount_disk || fail "unmount $path"
release_disks || fail "release the disks"

# Drops the caches, so that the saved state does not contain the files read so far.
sync
echo 3 >/proc/sys/vm/drop_caches
exec /sbin/init
