"""A mail server made of aiosmtpd, for one test that does not rely on our own reading of the RFCs.

Prints {"port": N} when it listens on 127.0.0.1, then each mail as one line of JSON with the keys `from`, `to`,
`tls`, `user` (of AUTH, else null) and `raw` (the message, base64). Ends when its standard input ends.

    python aiosmtpd_sink.py [--port N] [--starttls CERT KEY] [--auth USER PASSWORD]
"""

import argparse
import base64
import json
import logging
import socket
import ssl
import sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult


class Printer:
    async def handle_DATA(self, server, session, envelope):
        mail = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "tls": session.ssl is not None,
            "user": session.auth_data,
            "raw": base64.b64encode(envelope.original_content).decode(),
        }
        print(json.dumps(mail), flush=True)
        return "250 taken"


def free_port():
    # The controller cannot tell which port it got, so it must be told one.
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def main():
    # It warns of its own use of its own deprecated names.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--starttls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--auth", nargs=2, metavar=("USER", "PASSWORD"))
    args = parser.parse_args()

    options = {"enable_SMTPUTF8": False}
    if args.starttls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*args.starttls)
        options |= {"tls_context": context, "require_starttls": True}
    if args.auth:

        def authenticate(server, session, envelope, mechanism, login):
            given = [login.login.decode(), login.password.decode()]
            return AuthResult(success=given == args.auth, auth_data=given[0], handled=False)

        options |= {
            "authenticator": authenticate,
            "auth_required": True,
            "auth_require_tls": bool(args.starttls),
        }

    port = args.port or free_port()
    controller = Controller(Printer(), hostname="127.0.0.1", port=port, **options)
    controller.start()
    print(json.dumps({"port": port}), flush=True)
    sys.stdin.read()
    controller.stop()


if __name__ == "__main__":
    main()
