#!/usr/bin/env bash
# The container image without any base image and without a registry: the binary, the libraries that it links to, and the
# certificate authorities, put together by Debian's buildah. What deploy/Containerfile builds from two base images has the same
# user, paths, ports and commands.
#
#   scripts/image.sh [--binary FILE] [--output FILE] [--tag NAME]
#
# Builds target/release/tollbell unless a binary is named, and writes an archive that `docker load` and `podman load` take;
# target/tollbell-image.tar by default. Needs buildah and ca-certificates (Debian), and root or `buildah unshare`.
# Before it is written, the image is started once: a binary that lacks a library makes none.
set -euo pipefail
cd "$(dirname "$0")/.."

binary='' output=target/tollbell-image.tar tag=tollbell
while [ $# -gt 0 ]; do
  case $1 in
  --binary) binary=$2 ;;
  --output) output=$2 ;;
  --tag) tag=$2 ;;
  *)
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
  esac
  shift 2
done

fail() {
  printf 'image.sh: %s\n' "$*" >&2
  exit 1
}

type -P buildah >/dev/null || fail "buildah is missing: apt-get install buildah"
authorities=/etc/ssl/certs/ca-certificates.crt
[ -s "$authorities" ] || fail "$authorities is missing: apt-get install ca-certificates"
if [ -z "$binary" ]; then
  cargo build --release --locked --bin tollbell
  binary=target/release/tollbell
fi

work=$(mktemp -d)
chmod 711 "$work" # the image is started as its own user
# A storage of its own, which every kernel has the means for, and which is gone afterwards.
buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
container=
cleanup() {
  [ -z "$container" ] || buildah rm "$container" >/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

files=$work/files
install -D -m 755 "$binary" "$files/usr/local/bin/tollbell"
strip "$files/usr/local/bin/tollbell" 2>/dev/null || true
# Each library where the loader found it; the loader itself stands alone in its line.
ldd "$binary" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | sort -u |
  while read -r library; do install -D -m 755 "$(readlink -f "$library")" "$files$library"; done
install -D -m 644 "$authorities" "$files$authorities"
install -d -m 755 "$files/etc/tollbell" "$files/run/secrets"
install -d -m 1777 "$files/tmp"
printf 'tollbell:x:65532:65532::/var/lib/tollbell:/nonexistent\n' >"$files/etc/passwd"
printf 'tollbell:x:65532:\n' >"$files/etc/group"

version=$(sed -n '0,/^version = "\(.*\)"/s//\1/p' Cargo.toml)
container=$(buildah from --format docker scratch)
buildah copy --quiet "$container" "$files" / >/dev/null
# Copied by itself: a copy belongs to root unless it is told otherwise.
install -d -m 700 "$work/state"
buildah copy --quiet --chown 65532:65532 "$container" "$work/state" /var/lib/tollbell >/dev/null
buildah config \
  --user 65532:65532 --workingdir /var/lib/tollbell \
  --env TOLLBELL_CONFIG=/etc/tollbell/tollbell.yaml --env SSL_CERT_FILE=$authorities \
  --port 8080 --port 9464 --volume /var/lib/tollbell \
  --entrypoint '["/usr/local/bin/tollbell"]' --cmd serve \
  --label org.opencontainers.image.title=tollbell --label "org.opencontainers.image.version=$version" \
  --label org.opencontainers.image.licenses=Apache-2.0 \
  --healthcheck 'CMD /usr/local/bin/tollbell healthcheck' \
  --healthcheck-interval 10s --healthcheck-timeout 3s --healthcheck-start-period 60s \
  "$container"
said=$(buildah run --isolation chroot "$container" -- /usr/local/bin/tollbell --version) ||
  fail "the image does not start"
[ "$said" = "tollbell $version" ] || fail "the image says $said, not tollbell $version"

mkdir -p "$(dirname "$output")"
rm -f "$output"
buildah commit --quiet --format docker "$container" "docker-archive:$output:$tag:$version" >/dev/null
printf '%s: %s:%s, %s MB\n' "$output" "$tag" "$version" "$(($(stat -c %s "$output") / 1000000))"
