"""Whether the service in this container is ready: for the engine, which asks again and again.

Only what the image has anyway.
"""

import http.client
import os
import ssl
import sys


def ready() -> bool:
    context = ssl.create_default_context(cafile=os.environ["VOICEFILE_SERVICE_CA"])
    port = int(os.environ.get("VOICEFILE_HEALTH_PORT", "8444"))
    wire = http.client.HTTPSConnection("localhost", port, timeout=4, context=context)
    try:
        wire.request("GET", "/readyz")
        return wire.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        wire.close()


if __name__ == "__main__":
    sys.exit(0 if ready() else 1)
