#!/usr/bin/env bash
# Caddy 2.6.2 (Debian 12, 2.6.2-5) as a reverse proxy, and a client that sends `Expect: 100-continue`.
#
# When the backend answers `100 Continue` before it reads the body, as HTTP servers do, the client gets that line twice:
# once from Caddy's own server, once handed on from the backend. HTTP allows it (RFC 9110, 15.2: any number of 1xx), but a
# client that takes the second one for the final response is out of step. A receiver of webhooks cannot see it; its sender can.
#
# Exits 1 if that is no longer so.
set -euo pipefail
dir=$(mktemp -d)
pids=()
stop() {
  [ ${#pids[@]} -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap stop EXIT
cd "$dir"
version=${CADDY_VERSION:-2.6.2-5}
apt-get -qq -o APT::Sandbox::User=root download "caddy=$version"
dpkg-deb -x caddy_*.deb .
export HOME="$dir" XDG_DATA_HOME="$dir" XDG_CONFIG_HOME="$dir"
./usr/bin/caddy version

cat >backend.py <<'PY'
import http.server, sys

class Backend(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
print(server.server_address[1], flush=True)
server.serve_forever()
PY
python3 backend.py >backend.port &
pids+=($!)
for _ in $(seq 50); do [ -s backend.port ] && break; sleep 0.1; done
front=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '{\n\tadmin off\n\tauto_https off\n}\nhttp://127.0.0.1:%s {\n\treverse_proxy 127.0.0.1:%s\n}\n' \
  "$front" "$(cat backend.port)" >Caddyfile
./usr/bin/caddy run --config Caddyfile --adapter caddyfile >caddy.log 2>&1 &
pids+=($!)

python3 - "$front" "$(cat backend.port)" <<'PY'
import re, socket, sys, time

def ask(port):
    for _ in range(100):
        try:
            client = socket.create_connection(("127.0.0.1", int(port)), 10)
            break
        except OSError:
            time.sleep(0.1)
    client.sendall(b"POST / HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nContent-Length: 5\r\n"
                   b"Expect: 100-continue\r\nConnection: close\r\n\r\n" % port.encode())
    got = client.recv(65536)
    client.sendall(b"hello")
    while part := client.recv(65536):
        got += part
    return re.findall(rb"HTTP/1\.1 (\d{3})", got)

direct, proxied = ask(sys.argv[2]), ask(sys.argv[1])
print("backend itself:", b" ".join(direct).decode())
print("through Caddy: ", b" ".join(proxied).decode())
sys.exit(0 if (direct, proxied) == ([b"100", b"200"], [b"100", b"100", b"200"]) else 1)
PY
