"""Sequences about limits by tag: the older way to the limits of task runs, beside rows that an older server left."""

from typing import Any

from tests.differential import Step
from tests.differential.steps import after_each

BASE = "/concurrency_limits"
NEWER = "/v2/concurrency_limits"
WHOLE = "Prefect revokes the lease with what it holds of other limits, whose slots then stay taken for ever"


def create_limit(save: str = "limit", limit: Any = 2, **fields: Any) -> Step:
    """Make or change the limit of a tag that is named after the step."""
    return Step("POST", f"{BASE}/", {"tag": f"{save}-{{unique}}", "concurrency_limit": limit} | fields, save=save)


def insert_older(tag: str, limit: int = 2, slots: str = "[]") -> Step:
    """Insert a limit as Prefect kept it before limits had names."""
    columns = "id, tag, concurrency_limit, active_slots"
    values = f"gen_random_uuid(), '{tag}-{{unique}}', {limit}, '{slots}'"
    statement = f"INSERT INTO concurrency_limit ({columns}) VALUES ({values}) RETURNING id::text"
    return Step("SQL", statement, save=tag)


def tags(*limits: str) -> list[str]:
    """Give the tags of limits."""
    return [f"{limit}-{{unique}}" for limit in limits]


def read(limit: str = "limit", **fields: Any) -> Step:
    """Read the limit of a tag."""
    return Step("GET", f"{BASE}/tag/{limit}-{{unique}}", **fields)


def read_newer(limit: str = "limit", **fields: Any) -> Step:
    """Read the limit of a tag under its name."""
    return Step("GET", f"{NEWER}/tag:{limit}-{{unique}}", **fields)


def increment(*limits: str, run: str = "one", **fields: Any) -> Step:
    """Take a slot of each limit for a task run."""
    body = {"names": tags(*limits), "task_run_id": f"{{uuid.{run}}}"} | fields
    return Step("POST", f"{BASE}/increment", body)


def decrement(*limits: str, run: str = "one", **fields: Any) -> Step:
    """Give back what a task run holds of limits."""
    return Step("POST", f"{BASE}/decrement", increment(*limits, run=run, **fields).body, unordered=True)


def reset(limit: str = "limit", *runs: str) -> Step:
    """Say who holds slots of a limit."""
    body = {"slot_override": [f"{{uuid.{run}}}" for run in runs]} if runs else None
    return Step("POST", f"{BASE}/tag/{limit}-{{unique}}/reset", body)


def acquire(*limits: str, run: str = "one", save: str = "lease") -> Step:
    """Lease a slot of limits as the client does around a task."""
    holder = {"type": "task_run", "id": f"{{uuid.{run}}}"}
    body = {"names": [f"tag:{tag}" for tag in tags(*limits)], "slots": 1, "lease_duration": 60, "holder": holder}
    return Step("POST", f"{NEWER}/increment-with-lease", body, save=save, unordered=True)


def renew(lease: str = "lease", **fields: Any) -> Step:
    """Renew a lease."""
    return Step("POST", f"{NEWER}/leases/{{{lease}.lease_id}}/renew", **fields)


def release(lease: str = "lease") -> Step:
    """Give a lease back."""
    return Step("POST", f"{NEWER}/decrement-with-lease", {"lease_id": f"{{{lease}.lease_id}}"})


SEQUENCES = {
    "create_read_update_delete": [
        create_limit(),
        *after_each(
            [create_limit(limit=5), create_limit(limit=0)],
            [Step("GET", f"{BASE}/{{limit.id}}"), read(), read_newer()],
        ),
        Step("PATCH", f"{NEWER}/{{limit.id}}", {"active": False, "limit": 9}),
        create_limit(limit=3),
        read_newer(),
        Step("DELETE", f"{BASE}/{{limit.id}}"),
        Step("DELETE", f"{BASE}/{{limit.id}}"),
        Step("GET", f"{BASE}/{{limit.id}}"),
        read(),
        read_newer(),
        Step("DELETE", f"{BASE}/tag/limit-{{unique}}"),
        create_limit("other"),
        Step("DELETE", f"{BASE}/tag/other-{{unique}}"),
        read("other"),
        reset("other"),
    ],
    "one_limit_two_ways": [
        Step("POST", f"{NEWER}/", {"name": "tag:limit-{unique}", "limit": 3}, save="limit"),
        read(),
        create_limit(limit=1, save="limit"),
        read_newer(),
        Step("POST", f"{NEWER}/", {"name": "limit-{unique}", "limit": 3}, save="other"),
        Step("GET", f"{BASE}/{{other.id}}"),
        read(),
        Step("DELETE", f"{BASE}/{{other.id}}"),
        Step("GET", f"{NEWER}/{{other.id}}"),
    ],
    "create_with_nonsense": [
        create_limit("text", limit="7")._replace(differs="text is no number", status=422),
        create_limit("negative", limit=-1)._replace(differs="no limit is negative, as under its name", status=422),
        *(
            Step("POST", f"{BASE}/", {"tag": "x-{unique}", "concurrency_limit": 1} | fields)
            for fields in (
                {"tag": None},
                {"tag": 1},
                {"concurrency_limit": None},
                {"concurrency_limit": 1.5},
                {"concurrency_limit": 10**10},
                {"colour": "red"},
                {"active_slots": []},
            )
        ),
        *(Step("POST", f"{BASE}/", {"tag": tag, "concurrency_limit": 1}) for tag in ("a/b", "a%b", "a&b", "<a", "a>")),
        Step("POST", f"{BASE}/", {"tag": "x"}),
        Step("POST", f"{BASE}/", {"concurrency_limit": 1}),
        Step("POST", f"{BASE}/", []),
        Step("POST", f"{BASE}/"),
        create_limit(),
        create_limit(limit=-1)._replace(differs="Prefect fails", status=422),
        read(),
    ],
    "tags": [
        step
        for tag, path in (("späte Lehre {unique}", "sp%C3%A4te%20Lehre%20{unique}"), ("tag:{unique}", "tag:{unique}"))
        for step in (
            Step("POST", f"{BASE}/", {"tag": tag, "concurrency_limit": 1}),
            Step("GET", f"{BASE}/tag/{path}"),
            Step("POST", f"{BASE}/increment", {"names": [tag], "task_run_id": "{uuid.one}"}),
            Step("POST", f"{BASE}/tag/{path}/reset"),
            Step("DELETE", f"{BASE}/tag/{path}"),
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
    "slots": [
        create_limit(limit=2),
        *after_each(
            [
                increment("limit"),
                increment("limit", run="two"),
                increment("limit", run="three"),
                acquire("limit", run="three", save="refused"),
                decrement("limit", run="three"),
                decrement("limit", run="two"),
                decrement("limit", run="two"),
                acquire("limit", run="three"),
                increment("limit", run="four"),
                renew(),
                decrement("limit", run="three"),
                renew(),
                release(),
                increment("limit"),
                decrement("limit"),
                increment("limit", "nobody"),
                decrement("nobody", "limit"),
                increment("nobody"),
                decrement("nobody"),
                increment(),
                decrement(),
            ],
            [read(), read_newer()],
        ),
    ],
    "all_tags_or_none": [
        create_limit("small", limit=1),
        create_limit("large", limit=9),
        *after_each(
            [
                increment("large", "small"),
                increment("large", "small", run="two"),
                increment("small", "large", run="two"),
                increment("large", run="two"),
                decrement("small"),
                increment("small", "large", run="three"),
                decrement("large", "small", run="three"),
                decrement("large", "small", run="two"),
            ],
            [read("small"), read("large"), read_newer("small"), read_newer("large")],
        ),
    ],
    "limits_of_zero": [
        create_limit("none", limit=0),
        create_limit("some", limit=1),
        increment("none"),
        increment("some", "none"),
        read("some"),
        Step("PATCH", f"{NEWER}/{{none.id}}", {"active": False}),
        increment("some", "none"),
        decrement("none"),
    ],
    "inactive": [
        create_limit(limit=1),
        create_limit("active", limit=3),
        Step("PATCH", f"{NEWER}/{{limit.id}}", {"active": False}),
        *after_each(
            [increment("limit"), increment("limit", "active"), increment("active"), decrement("limit"), decrement("active")],
            [read(), read("active"), read_newer(), read_newer("active")],
        ),
    ],
    "holders": [
        create_limit(limit=5),
        Step("POST", f"{NEWER}/increment-with-lease", {"names": ["tag:limit-{unique}"], "slots": 2}, save="nobody"),
        read(),
        Step(
            "POST",
            f"{NEWER}/increment-with-lease",
            {"names": ["tag:limit-{unique}"], "slots": 2, "holder": {"type": "flow_run", "id": "{uuid.one}"}},
            save="flow",
        ),
        acquire("limit", run="two"),
        read(),
        Step("POST", f"{BASE}/filter")._replace(ignore=("",)),
        decrement("limit", run="two"),
        read(),
        read_newer(),
    ],
    "reset": [
        create_limit(limit=2),
        reset(),
        read(),
        reset("limit", "one", "two"),
        read(),
        read_newer(),
        increment("limit", run="three"),
        decrement("limit", run="one"),
        read(),
        increment("limit", run="three"),
        Step("POST", f"{BASE}/tag/limit-{{unique}}/reset", {"slot_override": None}),
        read(),
        read_newer(differs="Prefect forgets who holds the slots, and keeps them taken", status=200, contains={"active_slots": 0}),
        increment("limit", run="three")._replace(differs="what is reset is free again", status=200),
        create_limit("wide", limit=3),
        acquire("wide", save="lease"),
        reset("wide"),
        renew(),
        release(),
        create_limit("again", limit=3),
        reset("again", "one", "one", "two"),
        read("again"),
        read_newer("again"),
        decrement("again"),
        read("again"),
        reset("nobody"),
        Step("POST", f"{BASE}/tag/again-{{unique}}/reset", {"slot_override": ["x"]}),
        Step("POST", f"{BASE}/tag/again-{{unique}}/reset", {"slot_override": "x"}),
        Step("POST", f"{BASE}/tag/again-{{unique}}/reset", {"slot_override": [None]}),
        Step("POST", f"{BASE}/tag/again-{{unique}}/reset", {"other": 1}),
        read("again"),
    ],
    "reset_one_of_two": [
        create_limit("one"),
        create_limit("two"),
        acquire("one", "two", run="x"),
        reset("one"),
        renew(differs=WHOLE, status=204),
        read("two", differs=WHOLE, status=200),
        release(),
        read_newer("two", differs=WHOLE, status=200, contains={"active_slots": 0}),
    ],
    "delete_while_held": [
        *(
            step
            for address in (f"{BASE}/{{limit.id}}", f"{BASE}/tag/limit-{{unique}}")
            for step in (
                create_limit(),
                acquire("limit"),
                increment("limit", run="two"),
                Step("DELETE", address),
                renew(),
                create_limit(),
                read(),
                release(),
                decrement("limit", run="two"),
                read_newer(),
                Step("DELETE", address),
            )
        )
    ],
    "bodies": [
        create_limit(limit=50),
        *(
            step
            for fields in (
                {"names": None},
                {"names": "limit-{unique}"},
                {"names": [1]},
                {"names": [None]},
                {"task_run_id": None},
                {"task_run_id": "x"},
                {"task_run_id": 5},
                {"unknown": 1},
            )
            for step in (increment("limit", **fields), decrement("limit", **fields))
        ),
        *(Step("POST", f"{BASE}/{verb}", body) for verb in ("increment", "decrement") for body in ({}, [], None)),
        Step("GET", f"{BASE}/x"),
        Step("DELETE", f"{BASE}/x"),
        Step("GET", f"{BASE}/{{uuid.nobody}}"),
        Step("DELETE", f"{BASE}/{{uuid.nobody}}"),
        read(),
    ],
    "a_tag_twice": [
        create_limit(limit=2),
        increment("limit", "limit")._replace(differs="Prefect takes a tag that is named twice for a full limit", status=200),
        decrement("limit", "limit")._replace(differs="then there is nothing to give back", status=200),
        read(),
    ],
    "older_rows": [
        insert_older("older"),
        read("older"),
        Step("GET", f"{BASE}/{{older.id}}"),
        read_newer("older"),
        *after_each(
            [
                increment("older"),
                increment("older"),
                increment("older", run="two"),
                increment("older", run="three"),
                increment("older", run="two"),
                decrement("older", run="three"),
                decrement("older", run="two"),
                increment("older", run="three"),
                reset("older", "four", "four", "five"),
                decrement("older", run="four"),
                reset("older"),
                increment("older", "nobody"),
            ],
            [read("older")._replace(unordered=True)],
        ),
        create_limit("newer", limit=1),
        increment("older", "newer", run="six"),
        increment("newer", "older", run="seven"),
        read("newer"),
        read("older")._replace(unordered=True),
        decrement("newer", "older", run="six"),
        read("newer"),
        read("older"),
        insert_older("none", 0),
        increment("none"),
        increment("newer", "none"),
        read("newer"),
        Step("DELETE", f"{BASE}/{{older.id}}"),
        Step("DELETE", f"{BASE}/{{older.id}}"),
        read("older"),
        Step("DELETE", f"{BASE}/tag/none-{{unique}}"),
        read("none"),
        Step("DELETE", f"{BASE}/tag/none-{{unique}}"),
    ],
    "older_rows_that_are_replaced": [
        insert_older("older", 1, '["{uuid.holder}"]'),
        increment("older"),
        Step(*create_limit("older", 3)[:3], save="newer"),
        read("older"),
        increment("older"),
        read("older"),
        Step("GET", f"{BASE}/{{older.id}}"),
        decrement("older"),
        Step("DELETE", f"{BASE}/tag/older-{{unique}}"),
        read("older"),
        decrement("older", run="holder"),
        read("older"),
        Step("DELETE", f"{BASE}/tag/older-{{unique}}"),
        read("older"),
    ],
}
