#!/usr/bin/env bash
# Installs a Debian package into a file system of its own on top of this machine's, starts what it installs as its unit would,
# asks it, and removes it again. Nothing is left on the machine.
#
#   package.sh FOLDER PACKAGE PUBLIC_KEY
#
# FOLDER is for what is written. Needs root, or sudo without a password. Prints what it does; ends with 0 if all of it holds.
set -euo pipefail

if [ "${INSIDE:-}" = "" ]; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  exec "${as_root[@]}" env INSIDE=mounts unshare --mount --pid --net --fork --kill-child=KILL bash "$(realpath "$0")" "$@"
fi

folder=$1 package=$2 key=$3

if [ "$INSIDE" = mounts ]; then
  space=$folder/space
  mkdir "$space"
  mount -t tmpfs tmpfs "$space"
  mkdir "$space/upper" "$space/work" "$space/machine"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$space/machine"
  mount -t proc proc "$space/machine/proc"
  mount --rbind /dev "$space/machine/dev"
  mount -t tmpfs tmpfs "$space/machine/run"
  mount -t tmpfs tmpfs "$space/machine/tmp"
  cp "$0" "$space/machine/run/package.sh"
  cp "$package" "$space/machine/run/tollbell.deb"
  INSIDE=root chroot "$space/machine" bash /run/package.sh "$@"
  exit
fi

export PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
say() { printf 'package.sh: %s\n' "$*"; }
# A network of its own, with its loopback only.
ip link set lo up 2>/dev/null || python3 - <<'PYTHON'
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sh", b"lo", 1))
PYTHON
# A machine without these has no mail to send either; the package depends on them.
dpkg --install --force-depends /run/tollbell.deb
say "installed $(/usr/bin/tollbell --version)"
getent passwd tollbell | grep -q ':/usr/sbin/nologin$'
[ "$(stat -c '%U %a' /var/lib/tollbell)" = 'tollbell 700' ]
[ "$(stat -c '%G %a' /etc/tollbell/environment)" = 'tollbell 640' ]

unit=$(ls /lib/systemd/system/tollbell.service /usr/lib/systemd/system/tollbell.service 2>/dev/null | head -1)
say "unit $unit"
if command -v systemd-analyze >/dev/null; then
  [ -z "$(systemd-analyze verify "$unit" 2>&1 | grep -F tollbell.service)" ]
fi
echo "TELNYX_PUBLIC_KEY=$key" >>/etc/tollbell/environment
set -a
# shellcheck disable=SC1091 # made by the package
. /etc/tollbell/environment
eval "$(sed -n 's/^Environment=//p' "$unit")"
set +a
/usr/bin/tollbell check --strict
start=$(sed -n 's/^ExecStart=//p' "$unit")
cd "$(sed -n 's/^WorkingDirectory=//p' "$unit")"
umask "$(sed -n 's/^UMask=//p' "$unit")"
# shellcheck disable=SC2086 # the words of the unit
setpriv --reuid tollbell --regid tollbell --clear-groups --no-new-privs $start >/run/log 2>&1 &
server=$!
for _ in $(seq 300); do
  /usr/bin/tollbell healthcheck >/dev/null 2>&1 && break
  kill -0 "$server" || break
  read -r -t 0.1 <> <(:) || true
done
/usr/bin/tollbell healthcheck || { cat /run/log; exit 1; }
# What is shipped notifies nobody, which is the one thing that is not well.
/usr/bin/tollbell status >/run/status && { cat /run/status; exit 1; }
cat /run/status
[ "$(grep '^!!' /run/status | grep -vc 'has no integration: nobody is notified')" = 0 ] || { cat /run/status /run/log; exit 1; }
[ "$(stat -c '%U %a' /var/lib/tollbell/tollbell.db)" = 'tollbell 600' ]
kill -TERM "$server"
wait "$server"
say "stopped with 0"
dpkg --purge tollbell
[ ! -e /var/lib/tollbell ] && [ ! -e /usr/bin/tollbell ]
say "removed"
