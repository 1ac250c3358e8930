"""The schedules of a deployment, which are replaced as a set; the runs that they have ahead go with what they were."""

from collections.abc import Iterable, Mapping
from typing import Any

from psycopg import Connection

import sql
from handlers.errors import Unprocessable, require
from sql.ids import uuid7


def lock(conn: Connection, deployment_id: str) -> None:
    """Lock a deployment, so that no runs are made of its schedules meanwhile. Raises NotFound."""
    require(sql.deployments.lock(conn, id=deployment_id, flow_id=None, name=None), f"Deployment {deployment_id}")


def create(conn: Connection, deployment_id: str, schedules: Iterable[Mapping[str, Any]]) -> list[str]:
    """Add schedules to a deployment that is locked, and give their ids."""
    rows = [{**schedule, "id": str(uuid7())} for schedule in schedules]
    if rows:
        sql.deployment_schedules.create.send(conn, deployment_id=deployment_id, schedules=rows)
    return [row["id"] for row in rows]


def given(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a schedule that an update changes."""
    return {key: value for key, value in changes.items() if value is not None and key != "replaces"}


def delete_runs(conn: Connection, deployment_id: str, schedule_ids: list[str], future: bool = True) -> None:
    """Delete the runs ahead that schedules of a locked deployment made; without `future` those that are due, too."""
    if schedule_ids:
        sql.deployments.delete_scheduled_runs.send(
            conn, deployment_ids=[deployment_id], auto_scheduled=True, future=future, schedule_ids=schedule_ids
        )


def replace_schedules(conn: Connection, deployment_id: str, wanted: Iterable[Mapping[str, Any]]) -> None:
    """Make a locked deployment's schedules those that are wanted, as a set.

    A schedule that is there as it is wanted stays with its runs; one with the slug of a wanted one is changed; the others go
    with the runs that they have ahead. The number of runs that a schedule may have is not taken from here, as with Prefect.
    """
    existing = sql.deployment_schedules.list(conn, deployment_id=deployment_id)
    added = []
    for schedule in wanted:
        row = {"max_scheduled_runs": None, **{key: schedule[key] for key in ("schedule", "parameters", "slug")}}
        row["active"] = True if schedule["active"] is None else schedule["active"]
        if row["schedule"] is None:
            continue
        same = next((old for old in existing if all(old[key] == row[key] for key in row)), None)
        if same is None:
            added.append(row)
        else:
            existing.remove(same)
    changed = []
    for row in [row for row in added if row["slug"] is not None]:
        old = next((old for old in existing if old["slug"] == row["slug"]), None)
        if old is not None:
            existing.remove(old)
            added.remove(row)
            changed.append(old["id"])
            sql.deployment_schedules.update.send(conn, id=old["id"], deployment_id=deployment_id, changes=row)
    gone = [old["id"] for old in existing]
    if gone:
        sql.deployment_schedules.delete.send(conn, ids=gone, deployment_id=deployment_id)
    create(conn, deployment_id, added)
    delete_runs(conn, deployment_id, changed + gone)


def update_schedules(conn: Connection, deployment_id: str, wanted: list[Mapping[str, Any]]) -> None:
    """Update the schedules of a locked deployment by their slugs, or replace them if one that is there has none.

    With slugs, those that are not named or do not change stay, and `replaces` names the one whose slug changes. Raises
    Invalid for schedules without a slug then, for two that replace the same one, and for a slug that is taken.
    """
    existing = {old["slug"]: old for old in sql.deployment_schedules.list(conn, deployment_id=deployment_id)}
    if not existing or None in existing:
        replace_schedules(conn, deployment_id, wanted)
        return
    if any(schedule["slug"] is None for schedule in wanted):
        raise Unprocessable("Each schedule needs a slug, since those that are there have one.")
    replaced = [schedule["replaces"] for schedule in wanted if schedule["replaces"]]
    if len(set(replaced)) < len(replaced):
        raise Unprocessable("Several schedules replace the same one.")
    changed, added = [], []
    for schedule in wanted:
        slug, target = schedule["slug"], schedule["replaces"] or schedule["slug"]
        if schedule["replaces"] and slug in existing and slug not in replaced:
            raise Unprocessable(f"The slug {slug!r} is taken.")
        if target in existing:
            old, changes = existing[target], given(schedule)
            if any(old[key] != changes[key] for key in changes):
                changed.append((old["id"], changes))
        elif schedule["schedule"] is None:
            raise Unprocessable(f"There is no schedule {target!r}, and a new one needs a schedule.")
        else:
            added.append({**schedule, "max_scheduled_runs": None, "active": schedule["active"] is not False})
    ids = [id for id, _ in changed]
    sql.deployment_schedules.clear_slugs.send(conn, deployment_id=deployment_id, ids=ids)
    for id, changes in changed:
        sql.deployment_schedules.update.send(conn, id=id, deployment_id=deployment_id, changes=changes)
    create(conn, deployment_id, added)
    delete_runs(conn, deployment_id, ids)
