#!/bin/sh
# Runs the back end of the web server; init starts it anew when it ends. Python and the libraries of the web server are
# in a folder that only root can enter.
cd /
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin NO_COLOR=1 PYTHONHOME=/usr/libexec/axis \
    PYTHONPATH=/usr/libexec/axis/back-end LD_LIBRARY_PATH=/usr/libexec/axis/lib \
    /usr/libexec/axis/bin/axis-back-end -S -B -m incamera.axis_os.main
if [ ! -e /run/axis/settings ]; then
    echo "cannot boot: the back end of the web server has ended"
    poweroff -f
fi
sleep 1
