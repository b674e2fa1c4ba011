"""The official Telnyx SDK's word on a delivery, and deliveries signed with the SDK's own means.

    python telnyx_verify.py verify < {"public_key": …, "headers": {…}, "body_base64": …}
        prints {"ok": true, "event_type": …} or {"ok": false, "error": …}
    python telnyx_verify.py sign < {"seed_base64": …, "timestamp": …, "body_base64": …}
        prints {"public_key": …, "signature": …}; without a seed: the test key that Telnyx's Java SDK publishes,
        since the Python package ships none
"""

import base64
import json
import sys

from nacl.signing import SigningKey
from telnyx import Telnyx
from telnyx.lib.webhook_verification import WebhookVerificationError

SDK_TEST_SEED = "i1xxSkIuQOY9H8laaRslIoYGTJ1NwBAFdjsQwiwJH04="


def verify(asked):
    client = Telnyx(api_key="none", public_key=asked["public_key"])
    try:
        event = client.webhooks.unwrap(
            base64.b64decode(asked["body_base64"]), headers=asked["headers"]
        )
    except WebhookVerificationError as error:
        return {"ok": False, "error": str(error)}
    data = getattr(event, "data", None)
    return {"ok": True, "event_type": getattr(data, "event_type", None)}


def sign(asked):
    key = SigningKey(base64.b64decode(asked.get("seed_base64") or SDK_TEST_SEED))
    message = asked["timestamp"].encode() + b"|" + base64.b64decode(asked["body_base64"])
    return {
        "public_key": base64.b64encode(bytes(key.verify_key)).decode(),
        "signature": base64.b64encode(key.sign(message).signature).decode(),
    }


if __name__ == "__main__":
    modes = {"verify": verify, "sign": sign}
    print(json.dumps(modes[sys.argv[1]](json.load(sys.stdin))))
