"""Four schedulers at once, deployments deployed again and again under them, on the days on which clocks change.

The schedulers go through these days hour by hour. In each hour all of them run, and so do the requests; then one runs once more,
as the next round of a real one, since a scheduler passes over what is locked just then.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app import create_app
from handlers.domain.due_times import choose, due_times
from handlers.loops.driver import Loop
from handlers.loops.scheduler import MAX_RUNS, MAX_TIME, MIN_RUNS, MIN_TIME, find, schedule
from sql import database as db
from sql.database import connect
from tests.consistency import find_half_written
from tests.loops import run_round, schedule_runs
from tests.resources import created, make_flow
from tests.waiting import PATIENCE_SECONDS

UTC = timezone.utc
HOURS, AROUND = 8, timedelta(hours=4)
# Both changes in each zone, in UTC, in a year that is ahead: what is due is not started while the test lasts.
CHANGES = {
    "America/New_York": (datetime(2040, 3, 11, 7, tzinfo=UTC), datetime(2040, 11, 4, 6, tzinfo=UTC)),
    "Europe/Berlin": (datetime(2040, 3, 25, 1, tzinfo=UTC), datetime(2040, 10, 28, 1, tzinfo=UTC)),
    "Australia/Sydney": (datetime(2040, 3, 31, 16, tzinfo=UTC), datetime(2040, 10, 6, 16, tzinfo=UTC)),
}
ZONES = (*CHANGES, "Australia/Lord_Howe")  # by half an hour, within an hour of Sydney
CLOCK = [change - AROUND + timedelta(hours=hour) for change in sorted(sum(CHANGES.values(), ())) for hour in range(HOURS)]
DUE = "SELECT expected_start_time FROM flow_run WHERE created_by ->> 'id' = %s ORDER BY 1"
ORPHANS = """
SELECT count(*)
  FROM flow_run
 WHERE auto_scheduled
   AND NOT EXISTS (SELECT
                     FROM deployment_schedule AS schedule
                    WHERE schedule.id::text = flow_run.created_by ->> 'id'
                      AND schedule.deployment_id = flow_run.deployment_id)
"""


@pytest.fixture
def requests(database) -> Any:
    """Flask's test client on the test's own database."""
    db.open_pool(database, 4)
    yield create_app().test_client()
    db.close_pool()


def schedules_in(zone: str) -> list[dict[str, Any]]:
    """Give schedules of each kind in a zone; those of a day are due at half past two, when clocks change or just after."""
    anchor = datetime(2040, 1, 1, 2, 30, tzinfo=ZoneInfo(zone))
    kinds = [
        {"cron": "*/30 * * * *"},
        {"cron": "30 2 * * *"},
        {"interval": 3600, "anchor_date": anchor.isoformat()},
        {"interval": 86400, "anchor_date": anchor.isoformat()},
        {"rrule": "DTSTART:20400101T000000\nFREQ=HOURLY;BYMINUTE=15,45"},
        {"rrule": "DTSTART:20400101T023000\nFREQ=DAILY"},
    ]
    return [{"schedule": {**kind, "timezone": zone}, "slug": f"{zone} {number}"} for number, kind in enumerate(kinds)]


def expected(schedule: dict[str, Any]) -> list[datetime]:
    """Give the times at which a schedule has runs when all schedulers have gone through the hours."""
    return sorted(
        {time for now in CLOCK for time in choose(due_times(schedule, now, now + MAX_TIME), now, MIN_TIME, MIN_RUNS, MAX_RUNS)}
    )


def go_through_the_hours(database: str, request: Callable[[], None]) -> None:
    """Run four schedulers in each hour, and meanwhile make requests; then one scheduler once more."""
    conns = [connect(database) for _ in range(4)]
    with ThreadPoolExecutor(5) as threads:
        for now in CLOCK:
            lately = datetime.now(UTC) - timedelta(hours=1)
            loops = [threads.submit(schedule_runs, conn, now, 2) for conn in conns[:2]]
            recent = Loop("recent", partial(find, changed_since=lately), schedule, "SCHEDULER", locks=False)
            loops += [threads.submit(run_round, recent, conn, now, 2) for conn in conns[2:]]
            for done in (threads.submit(request), *loops):
                done.result(PATIENCE_SECONDS)
            schedule_runs(conns[0], now, 100)
    for conn in conns:
        conn.close()


@pytest.mark.parametrize("how", ["POST", "PATCH"])
def test_no_run_is_doubled_and_none_missed_while_deployments_are_deployed_again(database, requests, how):
    flow = make_flow(requests)
    bodies = [{"name": zone, "flow_id": flow["id"], "schedules": schedules_in(zone)} for zone in ZONES]
    deployed = [created(requests, "deployments", **body) for body in bodies]

    def deploy_again() -> None:
        for deployment, body in zip(deployed, bodies, strict=True):
            if how == "POST":
                answer = requests.post("/api/deployments/", json=body)
            else:
                answer = requests.patch(f"/api/deployments/{deployment['id']}", json={"schedules": body["schedules"]})
            assert answer.status_code in (200, 204), answer.text

    go_through_the_hours(database, deploy_again)
    with connect(database) as conn:
        for before in deployed:
            after = requests.get(f"/api/deployments/{before['id']}").json
            assert after["schedules"] == before["schedules"]
            for schedule in after["schedules"]:
                due = [row[0] for row in conn.execute(DUE, [schedule["id"]])]
                assert due == expected(schedule["schedule"]), schedule
        assert find_half_written(conn) == []


def test_what_is_deleted_and_made_anew_leaves_no_run_behind_and_has_its_own(database, requests):
    flow = make_flow(requests)
    body = {"name": "remade", "flow_id": flow["id"], "schedules": schedules_in("Europe/Berlin")[:2]}
    lasting = created(requests, "deployments", name="lasting", flow_id=flow["id"])
    path = f"/api/deployments/{lasting['id']}/schedules"

    def make_anew() -> None:
        found = requests.get(f"/api/deployments/name/{flow['name']}/remade")
        if found.status_code == 200:
            assert requests.delete(f"/api/deployments/{found.json['id']}").status_code == 204
        assert requests.post("/api/deployments/", json=body).status_code == 201
        for schedule in requests.get(path).json:
            assert requests.delete(f"{path}/{schedule['id']}").status_code == 204
        assert requests.post(path, json=schedules_in("America/New_York")[:2]).status_code == 201

    go_through_the_hours(database, make_anew)
    with connect(database) as conn:
        assert conn.execute(ORPHANS).fetchone() == (0,)
        now = CLOCK[-1]
        left = requests.post("/api/deployments/filter", json={}).json
        assert [len(deployment["schedules"]) for deployment in left] == [2, 2]
        for schedule in (schedule for deployment in left for schedule in deployment["schedules"]):
            due = list(choose(due_times(schedule["schedule"], now, now + MAX_TIME), now, MIN_TIME, MIN_RUNS, MAX_RUNS))
            assert [row[0] for row in conn.execute(DUE, [schedule["id"]])] == due
        assert find_half_written(conn) == []
