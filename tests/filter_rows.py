"""Random rows of everything that can be filtered, by table, and the database that holds them.

Sort keys are never equal, so that an order says all; names start with two letters that say it in every collation.
"""

from datetime import datetime, timedelta, timezone
from random import Random
from string import ascii_lowercase
from typing import Any
from uuid import UUID

from psycopg import Connection, sql
from psycopg.types.json import Jsonb

from schemas.state_types import STATE_TYPES

Rows = dict[str, list[dict[str, Any]]]

EPOCH = datetime(2025, 1, 1, tzinfo=timezone.utc)
WORDS = ("Alpha", "alpha_1", "al.ha", "back\\slash", "Zürich", 'quo"te', "it's", "two words", "{brace}", "ALPHA", "al")
TAGS = ("red", "Blue", "a,b", 'quo"te\\ü')
STATE_NAMES = ("Late", "AwaitingRetry", "Done", "Done, at last")
# References that form circles: written once all rows are there.
LATER = {"work_pool": ["default_queue_id"], "flow_run": ["parent_task_run_id", "state_id"], "task_run": ["state_id"]}


def make_rows(seed: int, scale: int = 1) -> Rows:
    """Make rows of all tables, the same ones for the same seed; tables come in an order in which they can be written."""
    choice = Random(seed)
    rows: Rows = {"flow": [a_row(choice, n, tags=tags(choice)) for n in range(6)]}
    rows["work_pool"] = [
        a_row(choice, n, type=choice.choice(("process", "docker")), status="READY", default_queue_id=None) for n in range(4)
    ]
    rows["work_queue"] = [
        a_row(choice, n, work_pool_id=rows["work_pool"][n % 4]["id"], priority=n // 4 + 1, status="READY") for n in range(9)
    ]
    for pool, queue in zip(rows["work_pool"], rows["work_queue"], strict=False):
        pool["default_queue_id"] = queue["id"]
    rows["worker"] = [
        a_row(
            choice,
            n,
            work_pool_id=choice.choice(rows["work_pool"])["id"],
            last_heartbeat_time=moment(choice),
            status=choice.choice(("ONLINE", "OFFLINE")),
        )
        for n in range(12)
    ]
    rows["deployment"] = [a_deployment(choice, n, rows) for n in range(10)]
    rows["flow_run"] = [a_flow_run(choice, n, rows) for n in range(40 * scale)]
    rows["task_run"] = [a_task_run(choice, n, rows) for n in range(60 * scale)]
    for run, task_run in zip(choice.sample(rows["flow_run"], 12), choice.sample(rows["task_run"], 12), strict=True):
        run["parent_task_run_id"] = task_run["id"]
    for kind in ("flow_run", "task_run"):
        rows[f"{kind}_state"] = [a_state(choice, kind, run) for run in rows[kind] if run["state_type"]]
    rows["log"] = [a_log(choice, rows) for _ in range(60)]
    return rows


def an_id(choice: Random) -> str:
    """Make up an id."""
    return str(UUID(int=choice.getrandbits(128), version=4))


def moment(choice: Random) -> datetime:
    """Make up a time that no other row has."""
    return EPOCH + timedelta(microseconds=choice.randrange(10 * 86_400 * 10**6))


def maybe(choice: Random, value: Any, share: float = 0.6) -> Any:
    """Give a value, or now and then none."""
    return value if choice.random() < share else None


def tags(choice: Random) -> list[str]:
    """Make up tags, often none."""
    return choice.sample(TAGS, choice.choice((0, 0, 1, 2, 3)))


def a_row(choice: Random, number: int, **fields: Any) -> dict[str, Any]:
    """Make the columns that all named tables have."""
    prefix = ascii_lowercase[number // 26] + ascii_lowercase[number % 26]
    name = f"{prefix}-{choice.choice(WORDS)}"
    return {"id": an_id(choice), "created": moment(choice), "updated": moment(choice), "name": name, **fields}


def a_deployment(choice: Random, number: int, rows: Rows) -> dict[str, Any]:
    """Make a deployment of one of the first four flows, mostly with a queue."""
    queue = maybe(choice, choice.choice(rows["work_queue"]))
    return a_row(
        choice,
        number,
        flow_id=choice.choice(rows["flow"][:4])["id"],
        tags=tags(choice),
        paused=choice.random() < 0.3,
        concurrency_limit=maybe(choice, choice.randrange(1, 5)),
        work_queue_id=queue and queue["id"],
        work_queue_name=queue and queue["name"],
        status="READY",
    )


def a_run(choice: Random, number: int, **fields: Any) -> dict[str, Any]:
    """Make the columns that flow runs and task runs share."""
    type = maybe(choice, choice.choice(STATE_TYPES), 0.9)
    start = moment(choice)
    return a_row(
        choice,
        number,
        tags=tags(choice),
        state_id=type and an_id(choice),
        state_type=type,
        state_name=type and choice.choice((*STATE_NAMES, type.capitalize())),
        state_timestamp=type and start,
        expected_start_time=maybe(choice, moment(choice), 0.9),
        next_scheduled_start_time=maybe(choice, moment(choice), 0.3),
        start_time=maybe(choice, start),
        end_time=maybe(choice, start + timedelta(hours=1)),
        run_count=choice.randrange(3),
        labels={"number": number},
        **fields,
    )


def a_flow_run(choice: Random, number: int, rows: Rows) -> dict[str, Any]:
    """Make a flow run, mostly of a deployment (which may be gone) and in a queue."""
    deployment = maybe(choice, choice.choice([*rows["deployment"], {"id": an_id(choice)}]))
    queue = maybe(choice, choice.choice(rows["work_queue"]))
    creator = {"id": an_id(choice), "type": choice.choice(("DEPLOYMENT", "AUTOMATION")), "display_value": "it"}
    return a_run(
        choice,
        number,
        flow_id=choice.choice(rows["flow"][1:])["id"],
        deployment_id=deployment and deployment["id"],
        work_queue_id=queue and queue["id"],
        work_queue_name=queue and choice.choice((queue["name"], "another")),
        flow_version=maybe(choice, choice.choice(("1", "2", ""))),
        idempotency_key=maybe(choice, f"key {number}"),
        created_by=maybe(choice, creator),
        parent_task_run_id=None,
        auto_scheduled=choice.random() < 0.5,
    )


def a_task_run(choice: Random, number: int, rows: Rows) -> dict[str, Any]:
    """Make a task run, mostly in one of some of the flow runs."""
    flow_run = maybe(choice, choice.choice(rows["flow_run"][: len(rows["flow_run"]) // 2]), 0.8)
    return a_run(choice, number, flow_run_id=flow_run and flow_run["id"], task_key="task", dynamic_key=str(number))


def a_state(choice: Random, kind: str, run: dict[str, Any]) -> dict[str, Any]:
    """Make the row of a run's current state."""
    return {
        "id": run["state_id"],
        f"{kind}_id": run["id"],
        "type": run["state_type"],
        "name": run["state_name"],
        "timestamp": run["state_timestamp"],
        "message": maybe(choice, "said"),
        "state_details": {"scheduled_time": f"{run['state_timestamp']:%Y-%m-%dT%H:%M:%S.%fZ}"}
        if run["state_type"] == "SCHEDULED"
        else {},
    }


def a_log(choice: Random, rows: Rows) -> dict[str, Any]:
    """Make a log, mostly of a run."""
    return {
        "id": an_id(choice),
        "name": choice.choice(("prefect.flow_runs", "other")),
        "level": choice.choice((0, 10, 20, 30, 40, 50)),
        "message": " ".join(choice.sample(("error", "Timeout", "connection lost", "debug", "Zürich"), 2)),
        "timestamp": moment(choice),
        "flow_run_id": maybe(choice, choice.choice(rows["flow_run"][:5])["id"]),
        "task_run_id": maybe(choice, choice.choice(rows["task_run"][:5])["id"]),
    }


def write_rows(conn: Connection, rows: Rows) -> None:
    """Write rows to a migrated database."""
    for table, some in rows.items():
        columns = [column for column in some[0] if column not in LATER.get(table, ())]
        insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(table),
            sql.SQL(", ").join(map(sql.Identifier, columns)),
            sql.SQL(", ").join(sql.Placeholder() for _ in columns),
        )
        conn.cursor().executemany(insert, [[as_parameter(row[column]) for column in columns] for row in some])
    for table, columns in LATER.items():
        for column in columns:
            update = sql.SQL("UPDATE {} SET {} = %s WHERE id = %s").format(sql.Identifier(table), sql.Identifier(column))
            conn.cursor().executemany(update, [(row[column], row["id"]) for row in rows[table]])


def as_parameter(value: Any) -> Any:
    """Give what psycopg is to send for a value: objects and lists are jsonb."""
    return Jsonb(value) if isinstance(value, dict | list) else value
