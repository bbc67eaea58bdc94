"""Our folder in a place on a device, and the shell text that looks whose it is before our program is there.

The guard itself does the same in C (`launcher/place.c`).
"""

from __future__ import annotations

from incamera.runtime.launcher.protocol import FAT_TYPES, NETWORK_TYPES, OWN_SUFFIX

FOLDER = "incamera"
"""The name of our folder in a place. Where another user has taken it, the user's number is added (OWN_SUFFIX)."""

# Functions for a script. $place is a place, $uid what `id -u` prints; it is asked for where it is not set.
#
#   there FILE       there is something of that name, be it a link that leads nowhere
#   is_own FILE      no other user can have put it there, and none can write to it. Once that is so, it stays so, for
#                    nobody else may rename it
#   not_sticky       everybody may rename what is in the place: nothing there can be trusted. /tmp is sticky
#
# A place may hold links and foreign files if nobody but us and root can write to it. On FAT and on shares the owner
# says nothing.
OWN_FUNCTIONS = f"""
there() {{ [ -e "$1" ] || [ -L "$1" ]; }}
kept() {{ set -- $(ls -ld "$1" 2>/dev/null); case $1 in ?????-??-*) ;; *) false ;; esac; }}
closed() {{
  set -- $(ls -ldn "$1" 2>/dev/null)
  case "$1 $3" in d????-??-?*" 0" | d????-??-?*" ${{uid:=$(id -u)}}") ;; *) false ;; esac
}}
ownerless() {{
  case " {FAT_TYPES} {NETWORK_TYPES} " in *" $(stat -f -c %t "$1" 2>/dev/null) "*) ;; *) false ;; esac
}}
not_sticky() {{
  [ -k "$place" ] && return 1
  set -- $(ls -ld "$place" 2>/dev/null)
  case $1 in d???????w*) ! ownerless "$place" ;; *) false ;; esac
}}
is_own() {{
  [ -O "$1" ] && [ ! -L "$1" ] && kept "$1" && return
  closed "$place" || {{ [ ! -L "$1" ] && ownerless "$place"; }}
}}
owner_of() {{ set -- $(ls -ld "$1" 2>/dev/null); echo "$3"; }}
"""

NOT_STICKY = "!"
# Prints the name of our folder in the place $place; without one, "- OWNER", or NOT_STICKY.
CHOOSE_FOLDER = f"""
choose_folder() {{
  first=$place/{FOLDER} other=$place/{FOLDER}{OWN_SUFFIX}$uid
  if not_sticky; then echo "{NOT_STICKY}"
  elif there "$first" && is_own "$first"; then echo {FOLDER}
  elif there "$other" && is_own "$other"; then echo "{FOLDER}{OWN_SUFFIX}$uid"
  elif ! there "$first"; then echo {FOLDER}
  elif ! there "$other"; then echo "{FOLDER}{OWN_SUFFIX}$uid"
  else echo "- $(owner_of "$first")"
  fi
}}
"""
