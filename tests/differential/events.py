"""Sequences about sending events: which of them are refused, and with them the list that they are in."""

from typing import Any

from tests.differential import Step

RESOURCE = {"prefect.resource.id": "example.{unique}"}
ROLE = {"prefect.resource.role": "a"}
LONG = "".join(f"{number:x}" for number in range(2000))
LATER = "Prefect's server accepts it, though PostgreSQL does not"


def event(**fields: Any) -> dict[str, Any]:
    """Make an event."""
    plain = {"id": "{uuid.event}", "occurred": "{now-60}", "event": "example.happened", "resource": RESOURCE}
    return {**plain, "related": [], "payload": {}, "follows": None} | fields


def send(*events: Any, **judged: Any) -> Step:
    """Send a list of events."""
    return Step("POST", "/events", list(events), ignore=("exception_detail",), **judged)


SEQUENCES = {
    "lists": [
        send(),
        send(event()),
        send(event(), event(id="{uuid.other}"), event()),
        Step("POST", "/events", {}, ignore=("exception_detail",)),
        send(event(id="{uuid.third}"), None),
        send(event(id="{uuid.third}"), {}),
    ],
    "faults": [
        *(
            send(event(**fault))
            for fault in (
                {"id": "x"},
                {"occurred": "yesterday"},
                {"occurred": "0000-01-01T00:00:00Z"},
                {"event": None},
                {"event": "x" * 1025},
                {"resource": None},
                {"resource": {}},
                {"resource": RESOURCE | {"count": None}},
                {"resource": RESOURCE | {f"label {number}": "" for number in range(500)}},
                {"related": [RESOURCE]},
                {"related": [RESOURCE | ROLE] * 101},
                {"payload": []},
                {"follows": "before"},
            )
        ),
        send(event(occurred="9999-12-31T23:59:59.999999Z", event="x" * 1024)),
    ],
    "what_cannot_be_stored": [
        send(event(payload={"a": "\0"}), differs=LATER, status=422),
        send(
            event(resource={"prefect.resource.id": "".join(f"{number:x}" for number in range(1500))}), differs=LATER, status=422
        ),
        send(event(payload={"a": "x" * 1_500_000}), differs="the limit that Prefect's client keeps holds here too", status=422),
    ],
}
