"""Judges a SCIM server by scim2-tester, and then works with it by scim2-client. Reads where it is from standard input; answers as JSON."""

import json
import sys

import httpx2
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import PatchOp, PatchOperation
from scim2_tester import Status, check_server

asked = json.load(sys.stdin)
http = httpx2.Client(
    base_url=asked["base"],
    headers={"Authorization": f"Bearer {asked['token']}"},
    verify=asked["ca"],
    timeout=30,
)
scim = SyncSCIMClient(http)
results = check_server(scim)
failed = [
    {"check": each.title, "status": each.status.name, "reason": str(each.reason)[:600]}
    for each in results
    if each.status in (Status.ERROR, Status.CRITICAL, Status.DEVIATION)
]
counts = {}
for each in results:
    counts[each.status.name] = counts.get(each.status.name, 0) + 1

scim.discover()
User = scim.get_resource_model("User")
Group = scim.get_resource_model("Group")
made = scim.create(User(user_name="joan@example.org", display_name="Joan"))
group = scim.create(Group(display_name="engineers", members=[Group.Members(value=made.id)]))
found = scim.query(User, query_parameters={"filter": 'userName eq "JOAN@example.org"'})
off = PatchOp[User](operations=[PatchOperation(op="replace", path="active", value=False)])
stopped = scim.modify(User, made.id, off)
member_of = scim.query(User, made.id).groups
# Sorted lists, and many operations in one request.
kim = scim.create(User(user_name="kim@example.org"))
by_name = scim.query(User, query_parameters={"sortBy": "userName", "sortOrder": "descending"})
answer = scim.bulk(
    {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "failOnErrors": 1,
        "Operations": [
            {
                "method": "POST",
                "bulkId": "team",
                "path": "/Groups",
                "data": {
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
                    "displayName": "bulk",
                    "members": [{"value": "bulkId:lee"}, {"value": kim.id}],
                },
            },
            {
                "method": "POST",
                "bulkId": "lee",
                "path": "/Users",
                "data": {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "lee@example.org"},
            },
            {"method": "DELETE", "path": f"/Users/{made.id}x"},
            {"method": "DELETE", "path": f"/Users/{kim.id}"},
        ],
    }
)
bulk_group = http.get(f"/Groups/{answer.operations[0].location.split('/')[-1]}").json()
scim.delete(Group, group.id)
scim.delete(User, made.id)
gone = http.get(f"/Users/{made.id}").status_code
json.dump(
    {
        "counts": counts,
        "failed": failed,
        "work": {
            "found": found.total_results,
            "groups": [each.display for each in member_of],
            "active": stopped.active,
            "gone": gone,
            "sorted": [each.user_name for each in by_name.resources],
            "bulk": [each.status for each in answer.operations],
            "members": len(bulk_group["members"]),
        },
    },
    sys.stdout,
)
