"""py-spiffe against a socket of ours: what it found, as one line of JSON."""

import json
import sys
import time

from spiffe import WorkloadApiClient, X509Source

socket = "unix://" + sys.argv[1]
with WorkloadApiClient(socket) as client:
    context = client.fetch_x509_context()
    svid = context.default_svid
    jwt = client.fetch_jwt_svid(audience={"db"})
    valid = client.validate_jwt_svid(jwt.token, "db")
    try:
        client.validate_jwt_svid(jwt.token, "other")
        other = "taken"
    except Exception as error:
        other = type(error).__name__
    bundles = client.fetch_x509_bundles()
with X509Source(socket_path=socket) as source:
    serial = lambda: source.get_x509_context().default_svid.leaf.serial_number
    first = serial()
    print(json.dumps({"ready": True}), flush=True)
    until = time.monotonic() + 60
    while serial() == first and time.monotonic() < until:
        time.sleep(0.05)
    turned = serial() != first
print(
    json.dumps(
        {
            "id": str(svid.spiffe_id),
            "jwt": str(jwt.spiffe_id),
            "valid": str(valid.spiffe_id),
            "other": other,
            "bundles": len(bundles.bundles),
            "turned": turned,
        }
    ),
    flush=True,
)
