#!/usr/bin/env bash
# Alertmanager 0.25.0 (Debian 12, prometheus-alertmanager 0.25.0-1+b4), matchers of a route.
#
# An unquoted pattern that ends in a repetition, `foo=~a{2}`, is accepted by `amtool check-config` without a word, but its
# last brace is taken for the end of a list of matchers and cut off. What is left, `a{2`, is a pattern in which the brace
# is a plain character: the route takes the value `a{2` and not `aa`. In quotes the same pattern means what it says.
#
# Exits 1 if that is no longer so.
set -euo pipefail
version=0.25.0-1+b4
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get -qq -o APT::Sandbox::User=root download "prometheus-alertmanager=$version"
dpkg-deb -x prometheus-alertmanager_*.deb .
amtool="$dir/usr/bin/amtool"
"$amtool" --version 2>&1 | head -n 1

# route MATCHER VALUE: which receiver an alert with this value of `foo` goes to.
route() {
  cat >config.yml <<YAML
route: {receiver: default, routes: [{receiver: matched, matchers: ['$1']}]}
receivers: [{name: default}, {name: matched}]
YAML
  "$amtool" check-config config.yml >/dev/null
  "$amtool" config routes test --config.file=config.yml "foo=$2" 2>/dev/null
}

status=0
expect() {
  local got
  got=$(route "$1" "$2")
  printf '%-14s foo=%-5s -> %s\n' "$1" "$2" "$got"
  if [ "$got" != "$3" ]; then
    echo "  was $3: the behaviour has changed"
    status=1
  fi
}
expect 'foo=~a{2}' aa default
expect 'foo=~a{2}' '"a{2"' matched
expect 'foo=~"a{2}"' aa matched
expect 'foo=~"a{2}"' '"a{2"' default
exit $status
