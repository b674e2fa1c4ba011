#!/usr/bin/env bash
# Runs a mail server or a proxy as Debian ships it, in the foreground, without a trace on the machine.
#
#   server.sh NAME FOLDER PORT
#
# NAME is a folder of .tools/servers. The server sees this machine's files with those of its package on top, and whatever it
# writes is gone with it; only FOLDER, as /mnt, is shared with the test. It listens on 127.0.0.1:PORT. Mail servers deliver
# to the user ops, whose home is FOLDER/ops. Proxies are configured by FOLDER/config.
#
# Needs root, or sudo without a password. When this process is killed, so is all that it started.
set -euo pipefail

if [ "${INSIDE:-}" = "" ]; then
  here=$(cd "$(dirname "$0")" && pwd)
  packages=$(cd "$here/../../../.tools/servers/$1" 2>/dev/null && pwd) || {
    echo "the server $1 is missing: run scripts/tools.sh" >&2
    exit 1
  }
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  exec "${as_root[@]}" env INSIDE=mounts PACKAGES="$packages" \
    unshare --mount --pid --fork --kill-child=KILL bash "$here/server.sh" "$@"
fi

name=$1 folder=$2 port=$3

if [ "$INSIDE" = mounts ]; then
  # The space holds what the server writes, and lies in memory.
  space=$folder/server
  mkdir "$space"
  mount -t tmpfs tmpfs "$space"
  mkdir "$space/upper" "$space/work" "$space/machine"
  mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$space/machine"
  # Some packages hold /lib, which is a link.
  tar -C "$PACKAGES" -c . | tar -C "$space/machine" -x --keep-directory-symlink
  mount -t proc proc "$space/machine/proc"
  mount --rbind /dev "$space/machine/dev"
  mount -t tmpfs tmpfs "$space/machine/tmp"
  mount -t tmpfs tmpfs "$space/machine/run"
  mount --bind "$folder" "$space/machine/mnt"
  cp "$0" "$space/machine/run/server.sh"
  # Not exec: this shell is the first process of its own table, and takes all others with it when it is killed.
  INSIDE=root chroot "$space/machine" bash /run/server.sh "$@"
  exit
fi

export PATH=/usr/sbin:/usr/bin:/sbin:/bin
ldconfig
rm -f /usr/sbin/policy-rc.d

# user NAME ID [HOME]
user() {
  grep -q "^$1:" /etc/group || echo "$1:x:$2:" >>/etc/group
  grep -q "^$1:" /etc/passwd || echo "$1:x:$2:$2::${3:-/nonexistent}:/usr/sbin/nologin" >>/etc/passwd
}

mailboxes() {
  user ops 4200 /mnt/ops
  install -d -o ops -g ops /mnt/ops
  echo localhost >/etc/mailname
  : >/etc/aliases
}

case $name in
  postfix)
    mailboxes
    user postfix 4201 /var/spool/postfix
    grep -q ^postdrop: /etc/group || echo postdrop:x:4202: >>/etc/group
    cp /usr/share/postfix/main.cf.debian /etc/postfix/main.cf
    cp /usr/share/postfix/master.cf.dist /etc/postfix/master.cf
    # What the package's configuration adds for an "Internet Site", with the test's certificate instead of the self-made one.
    postconf -e myhostname=localhost mydestination=localhost relayhost= \
      'mynetworks=127.0.0.0/8 [::1]/128' 'alias_maps=hash:/etc/aliases' 'alias_database=hash:/etc/aliases' \
      inet_interfaces=loopback-only inet_protocols=ipv4 'recipient_delimiter=+' mailbox_size_limit=0 \
      'smtpd_relay_restrictions=permit_mynetworks permit_sasl_authenticated defer_unauth_destination' \
      smtpd_tls_cert_file=/mnt/server.pem smtpd_tls_key_file=/mnt/server.key smtpd_tls_security_level=may
    # Where mail ends up, and no second copy of the machine's files.
    postconf -e home_mailbox=Maildir/
    postconf -F '*/*/chroot=n'
    chown postfix /var/lib/postfix
    chgrp postdrop /usr/sbin/postqueue /usr/sbin/postdrop
    chmod g+s /usr/sbin/postqueue /usr/sbin/postdrop
    sed -i "s/^smtp  *inet/127.0.0.1:$port inet/" /etc/postfix/master.cf
    newaliases
    exec postfix start-fg
    ;;
  exim)
    mailboxes
    user Debian-exim 4201 /var/spool/exim4
    install -d -o Debian-exim -g Debian-exim /var/spool/exim4 /var/spool/exim4/{db,input,msglog} /var/log/exim4
    # As the package answers its own questions, save where mail ends up.
    cat >/etc/exim4/update-exim4.conf.conf <<'CONF'
dc_eximconfig_configtype='local'
dc_other_hostnames='localhost'
dc_local_interfaces='127.0.0.1'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='false'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='maildir_home'
CONF
    install -d /var/lib/exim4
    update-exim4.conf
    exec exim4 -bdf -q30m -oX "127.0.0.1:$port"
    ;;
  opensmtpd)
    mailboxes
    user opensmtpd 4201 /var/lib/opensmtpd/empty
    user opensmtpq 4202 /var/lib/opensmtpd/empty
    install -d /var/lib/opensmtpd/empty
    install -d -m 711 /var/spool/smtpd
    sed -i "s/^listen on localhost/listen on 127.0.0.1 port $port/" /etc/smtpd.conf
    exec smtpd -d
    ;;
  nginx)
    rm -f /etc/nginx/sites-enabled/*
    install -d /var/log/nginx /var/lib/nginx
    cp /mnt/config /etc/nginx/conf.d/tollbell.conf
    exec nginx -g 'daemon off;'
    ;;
  haproxy)
    user haproxy 4201 /var/lib/haproxy
    install -d /var/lib/haproxy /run/haproxy
    cat /mnt/config >>/etc/haproxy/haproxy.cfg
    exec haproxy -W -db -f /etc/haproxy/haproxy.cfg
    ;;
  apache)
    install -d /var/log/apache2 /run/lock/apache2
    # The ports and the site of the package are for port 80.
    : >/etc/apache2/ports.conf
    rm -f /etc/apache2/sites-enabled/*
    # What the package's installation enables, and what a2enmod would add.
    for module in access_compat authn_core authz_core authz_host mime mpm_event reqtimeout setenvif proxy proxy_http; do
      for file in /etc/apache2/mods-available/"$module".{load,conf}; do
        if [ -e "$file" ]; then ln -sf "$file" /etc/apache2/mods-enabled/; fi
      done
    done
    cp /mnt/config /etc/apache2/sites-enabled/tollbell.conf
    # shellcheck disable=SC1091 # of the package
    APACHE_CONFDIR=/etc/apache2 . /etc/apache2/envvars
    install -d "$APACHE_RUN_DIR"
    exec apache2 -DFOREGROUND
    ;;
  caddy)
    # Its interface for administration has a fixed port.
    { printf '{\n\tadmin off\n}\n'; cat /mnt/config; } >/etc/caddy/Caddyfile
    HOME=/tmp exec caddy run --config /etc/caddy/Caddyfile --adapter caddyfile
    ;;
  varnish)
    user varnish 4201
    grep -q ^vcache: /etc/passwd || echo vcache:x:4202:4201::/nonexistent:/usr/sbin/nologin >>/etc/passwd
    exec varnishd -F -a "127.0.0.1:$port" -f /mnt/config -s malloc,16m -n /run/varnish
    ;;
  *)
    echo "no server has the name $name" >&2
    exit 1
    ;;
esac
