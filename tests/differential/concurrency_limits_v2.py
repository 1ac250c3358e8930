"""Sequences about limits by name, and slots taken of them."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import after_each

BASE = "/v2/concurrency_limits"
OURS = "gives the slots back"


def create_limit(save: str = "limit", limit: int = 2, **fields: Any) -> Step:
    """Make a limit that is named after the step."""
    return Step("POST", f"{BASE}/", {"name": f"{save}-{{unique}}", "limit": limit} | fields, save=save)


def update_limit(limit: str = "limit", **changes: Any) -> Step:
    """Change a limit."""
    return Step("PATCH", f"{BASE}/{{{limit}.id}}", changes)


def read_limit(limit: str = "limit") -> Step:
    """Read a limit."""
    return Step("GET", f"{BASE}/{limit}-{{unique}}")


def names(*limits: str) -> list[str]:
    """Give the names of limits."""
    return [f"{limit}-{{unique}}" for limit in limits]


def increment(*limits: str, slots: Any = 1, **fields: Any) -> Step:
    """Take slots."""
    return Step("POST", f"{BASE}/increment", {"names": names(*limits), "slots": slots} | fields, unordered=True)


def decrement(*limits: str, slots: Any = 1, **fields: Any) -> Step:
    """Give slots back by their number."""
    return Step("POST", f"{BASE}/decrement", {"names": names(*limits), "slots": slots} | fields, unordered=True)


def acquire(*limits: str, save: str = "lease", slots: Any = 1, **fields: Any) -> Step:
    """Take slots and lease them."""
    body = {"names": names(*limits), "slots": slots} | fields
    return Step("POST", f"{BASE}/increment-with-lease", body, save=save, unordered=True)


def renew(lease: str = "lease", **fields: Any) -> Step:
    """Renew a lease."""
    return Step("POST", f"{BASE}/leases/{{{lease}.lease_id}}/renew", fields or None)


def release(lease: str = "lease") -> Step:
    """Give back what a lease holds."""
    return Step("POST", f"{BASE}/decrement-with-lease", {"lease_id": f"{{{lease}.lease_id}}"})


SEQUENCES = {
    "create_read_update_delete": [
        create_limit(limit=3, active=False, active_slots=1, denied_slots=2, slot_decay_per_second=0.00001),
        Step("GET", f"{BASE}/{{limit.id}}"),
        read_limit(),
        Step("POST", f"{BASE}/", {"name": "limit-{unique}", "limit": 1}),
        *after_each(
            [
                update_limit(limit=5),
                update_limit(active=True, active_slots=4, denied_slots=0, slot_decay_per_second=0),
                update_limit(),
                Step("PATCH", f"{BASE}/limit-{{unique}}", {"limit": 0}),
                update_limit(name="renamed-{unique}"),
            ],
            [Step("GET", f"{BASE}/{{limit.id}}")],
        ),
        read_limit(),
        read_limit("renamed"),
        create_limit("other"),
        update_limit("other", name="renamed-{unique}"),
        Step("DELETE", f"{BASE}/renamed-{{unique}}"),
        Step("DELETE", f"{BASE}/{{limit.id}}"),
        Step("GET", f"{BASE}/{{limit.id}}"),
        update_limit(limit=1),
        Step("DELETE", f"{BASE}/{{other.id}}"),
        Step("DELETE", f"{BASE}/other-{{unique}}"),
        Step("PATCH", f"{BASE}/other-{{unique}}", {"limit": 1}),
    ],
    "create_with_fewest_fields": [
        create_limit(),
        create_limit("none", limit=0),
        Step(*create_limit("text", limit="7")[:3], differs="text is no number", status=422),
        *(
            Step("POST", f"{BASE}/", {"name": "x-{unique}", "limit": 1} | fields)
            for fields in (
                {"name": ""},
                {"name": "a/b"},
                {"name": None},
                {"limit": -1},
                {"limit": None},
                {"limit": 1.5},
                {"active": None},
                {"active": "perhaps"},
                {"active_slots": -1},
                {"denied_slots": -1},
                {"slot_decay_per_second": -0.5},
                {"slot_decay_per_second": None},
                {"colour": "red"},
                {"avg_slot_occupancy_seconds": 3},
            )
        ),
        Step("POST", f"{BASE}/", {"limit": 1}),
        Step("POST", f"{BASE}/", {"name": "x-{unique}"}),
        Step("POST", f"{BASE}/", []),
    ],
    "update_with_nonsense": [
        create_limit(),
        *(
            update_limit(**changes)
            for changes in (
                {"name": "a/b"},
                {"limit": -1},
                {"active_slots": -1},
                {"denied_slots": "x"},
                {"slot_decay_per_second": -1},
                {"colour": "red"},
            )
        ),
        read_limit(),
    ],
    "names": [
        step
        for name, path in (("späte Lehre {unique}", "sp%C3%A4te%20Lehre%20{unique}"), ("tag:{unique}", "tag:{unique}"))
        for step in (
            Step("POST", f"{BASE}/", {"name": name, "limit": 1}),
            Step("GET", f"{BASE}/{path}"),
            Step("PATCH", f"{BASE}/{path}", {"limit": 2}),
            Step("POST", f"{BASE}/increment", {"names": [name], "slots": 2}),
            Step("DELETE", f"{BASE}/{path}"),
        )
    ],
    "filter": [
        Step("POST", f"{BASE}/filter", {"limit": 0}),
        Step("POST", f"{BASE}/filter", {"limit": 0, "offset": 3}),
        Step("POST", f"{BASE}/filter", {"offset": 100000}),
        Step("POST", f"{BASE}/filter", {"limit": 201}),
        Step("POST", f"{BASE}/filter", {"limit": -1}),
        Step("POST", f"{BASE}/filter", {"offset": -1}),
        Step("POST", f"{BASE}/filter", {"offset": "x"}),
    ],
    "increment_and_decrement": [
        create_limit(limit=3),
        *after_each(
            [
                increment("limit", slots=2),
                increment("limit", slots=2),
                increment("limit", slots=1),
                increment("limit", slots=1),
                increment("limit", slots=4),
                decrement("limit", slots=2, occupancy_seconds=3.5),
                decrement("limit", slots=2),
                decrement("limit", slots=2),
            ],
            [read_limit()],
        ),
        increment("nobody"),
        increment("nobody", "limit"),
        increment("limit", "limit"),
        decrement("nobody"),
        decrement("nobody", "limit", occupancy_seconds=None),
        read_limit(),
    ],
    "leases": [
        create_limit(limit=3),
        *after_each(
            [
                acquire("limit", slots=2, lease_duration=60, mode="concurrency"),
                acquire("limit", slots=2, save="refused"),
                renew(),
                renew(lease_duration=3600),
                acquire("limit", save="second", holder={"type": "task_run", "id": "{uuid.holder}"}),
                acquire("limit", save="refused"),
                release(),
                release(),
                renew(),
                acquire("limit", slots=2, save="third"),
                release("second"),
                release("third"),
                acquire("limit", slots=4, save="refused"),
            ],
            [read_limit()],
        ),
        renew("nothing"),
        Step("POST", f"{BASE}/leases/{{uuid.nobody}}/renew"),
        Step("POST", f"{BASE}/decrement-with-lease", {"lease_id": "{uuid.nobody}"}),
    ],
    "leases_without_limits": [
        acquire("nobody", slots=5),
        renew(),
        release(),
        renew(),
        release(),
        acquire(),
        release(),
    ],
    "all_names_or_none": [
        create_limit("small", limit=1),
        create_limit("large", limit=9),
        *after_each(
            [
                acquire("small", "large", save="first"),
                acquire("small", "large", save="refused"),
                acquire("large", "small", save="refused"),
                increment("large", "small"),
                acquire("large", slots=8, save="second"),
                release("first"),
                acquire("small", "large", "nobody", save="third"),
                release("second"),
                release("third"),
                acquire("small", "large", slots=2, save="refused"),
            ],
            [read_limit("small"), read_limit("large")],
        ),
    ],
    "inactive": [
        create_limit(limit=1, active=False),
        *after_each(
            [
                acquire("limit", slots=5),
                increment("limit", slots=5),
                decrement("limit"),
                release(),
                increment("limit", mode="rate_limit"),
                update_limit(active=True),
                acquire("limit"),
                acquire("limit", save="refused"),
            ],
            [read_limit()],
        ),
        update_limit(active=False),
        Step(
            *release()[:3],
            differs="Prefect keeps the slots of a limit that is switched off while they are held, for ever",
            status=204,
        ),
        Step(*read_limit()[:3], differs=OURS, status=200, contains={"active_slots": 0}),
    ],
    "rate_limits": [
        create_limit("plain"),
        create_limit("slow", limit=3, slot_decay_per_second=0.0001),
        create_limit("fast", limit=3, slot_decay_per_second=2),
        *after_each(
            [
                increment("plain", mode="rate_limit"),
                increment("slow", "plain", mode="rate_limit"),
                increment("slow", slots=4, mode="rate_limit"),
                increment("slow", slots=3, mode="rate_limit"),
                increment("slow", mode="rate_limit"),
                increment("slow", mode="concurrency"),
                increment("fast", slots=3, mode="rate_limit"),
            ],
            [read_limit("plain"), read_limit("slow")],
        ),
        increment("fast", slots=3, mode="rate_limit"),
        increment("fast", slots=3, mode="rate_limit")._replace(pause_seconds=1.7),
        read_limit("fast")._replace(pause_seconds=1.7),
        acquire("slow", mode="rate_limit", save="refused"),
        decrement("slow", slots=2),
        acquire("slow", mode="rate_limit"),
        # Ours is the moment up to which decay is counted, which lasts until a whole slot has decayed.
        read_limit("slow")._replace(ignore=("updated",)),
        release(),
        read_limit("slow")._replace(ignore=("updated",)),
    ],
    "set_by_hand": [
        create_limit(limit=3),
        acquire("limit", slots=2),
        update_limit(active_slots=0),
        read_limit(),
        release(),
        read_limit(),
        increment("limit", slots=3),
        update_limit(active_slots=1),
        increment("limit", slots=2),
        read_limit(),
        update_limit(limit=1),
        increment("limit"),
        decrement("limit", slots=3),
        increment("limit"),
    ],
    "decrement_what_is_leased": [
        create_limit(limit=3),
        acquire("limit", slots=2),
        increment("limit"),
        Step(*decrement("limit", slots=3)[:3], differs="slots that are leased are given back with the lease", status=200),
        Step(*read_limit()[:3], differs=OURS, status=200, contains={"active_slots": 2}),
        release(),
        read_limit(),
    ],
    "delete_while_held": [
        create_limit(),
        acquire("limit"),
        Step("DELETE", f"{BASE}/{{limit.id}}"),
        renew(),
        create_limit(),
        acquire("limit", save="second"),
        release(),
        read_limit(),
        release("second"),
        read_limit(),
    ],
    "bodies": [
        create_limit(limit=5),
        *(
            step
            for fields in (
                {"slots": 0},
                {"slots": -1},
                {"slots": None},
                {"slots": 1.5},
                {"slots": 10**10},
                {"names": None},
                {"names": "limit-{unique}"},
                {"names": [1]},
                {"mode": "other"},
                {"create_if_missing": True},
                {"create_if_missing": None},
                {"unknown": 1},
                {"occupancy_seconds": 0},
                {"occupancy_seconds": "x"},
                {"lease_duration": 59},
                {"lease_duration": 60},
                {"lease_duration": 86400},
                {"lease_duration": 86401},
                {"lease_duration": "x"},
                {"holder": None},
                {"holder": {"type": "task_run"}},
                {"holder": {"type": "person", "id": "{uuid.holder}"}},
                {"holder": {"type": "flow_run", "id": "x"}},
                {"holder": {"type": "deployment", "id": "{uuid.holder}"}},
                {"holder": {"type": "deployment", "id": "{uuid.holder}", "name": "x"}},
            )
            for step in (increment("limit", **fields), decrement("limit", **fields), acquire("limit", **fields), release())
        ),
        acquire("limit"),
        renew(lease_duration=59),
        renew(lease_duration=60),
        renew(lease_duration=86401),
        renew(other=1),
        *(
            Step("POST", f"{BASE}/{verb}", body)
            for verb in ("increment", "decrement", "decrement-with-lease")
            for body in ({}, [])
        ),
        Step("POST", f"{BASE}/increment-with-lease"),
        Step("POST", f"{BASE}/decrement-with-lease", {"lease_id": "x"}),
        Step("POST", f"{BASE}/leases/x/renew"),
    ],
}
