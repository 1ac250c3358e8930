"""Schedules of deployments: added, changed, deleted, and replaced as a set without touching those that stay."""

import pytest

from tests.resources import NOBODY, problems, told
from tests.test_deployments import change, deploy, read, runs_of

DAILY = {"cron": "0 9 * * *", "timezone": "UTC", "day_or": True}
HOURLY = {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
WEEKLY = {"rrule": "DTSTART:20260101T000000\nFREQ=WEEKLY", "timezone": "UTC"}


def schedule(client, deployment) -> set[str]:
    """Make runs of a deployment's schedules and give their ids."""
    assert client.post(f"/api/deployments/{deployment['id']}/schedule", json={}).status_code == 200
    return {run["id"] for run in runs_of(client, deployment)}


def makers(client, deployment) -> set[str]:
    """Give the ids of the schedules that the runs of a deployment were made by."""
    return {run["created_by"]["id"] for run in runs_of(client, deployment)}


def test_schedules_are_shown_newest_first(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY, "slug": "a"}, {"schedule": HOURLY, "active": False}])
    listed = client.get(f"/api/deployments/{deployment['id']}/schedules").json
    assert listed == deployment["schedules"]
    assert [(found["schedule"], found["active"], found["slug"]) for found in listed] == [
        (HOURLY, False, None),
        (DAILY, True, "a"),
    ]
    assert all(found["deployment_id"] == deployment["id"] for found in listed)


def test_schedules_are_added(client):
    deployment = deploy(client)
    path = f"/api/deployments/{deployment['id']}/schedules"
    answer = client.post(path, json=[{"schedule": DAILY, "max_scheduled_runs": 2, "parameters": {"x": 1}}, {"schedule": WEEKLY}])
    assert answer.status_code == 201
    assert [found["schedule"] for found in answer.json] == [DAILY, WEEKLY]
    assert (answer.json[0]["max_scheduled_runs"], answer.json[0]["parameters"]) == (2, {"x": 1})
    assert read(client, deployment)["schedules"] == answer.json[::-1]
    assert client.post(path, json=[{"schedule": DAILY, "slug": "s"}, {"schedule": DAILY, "slug": "s"}]).status_code == 409
    assert len(client.get(path).json) == 2


@pytest.mark.parametrize("body", [{}, [{}], [{"schedule": {"cron": "never"}}], [{"schedule": DAILY, "unknown": 1}]])
def test_a_schedule_that_is_none_is_refused(client, body):
    deployment = deploy(client)
    assert problems(client.post(f"/api/deployments/{deployment['id']}/schedules", json=body))
    assert client.get(f"/api/deployments/{deployment['id']}/schedules").json == []


def test_a_schedule_that_changes_or_goes_takes_its_runs_and_leaves_the_others(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY}, {"schedule": HOURLY}, {"schedule": WEEKLY}])
    weekly, hourly, daily = (found["id"] for found in deployment["schedules"])
    schedule(client, deployment)
    path = f"/api/deployments/{deployment['id']}/schedules"
    assert client.patch(f"{path}/{hourly}", json={"active": False}).status_code == 204
    assert makers(client, deployment) == {weekly, daily}
    assert client.delete(f"{path}/{daily}").status_code == 204
    assert makers(client, deployment) == {weekly}
    assert client.delete(f"{path}/{daily}").status_code == 404
    assert client.patch(f"{path}/{NOBODY}", json={"active": True}).status_code == 404


def test_a_redeploy_with_the_same_schedules_leaves_them_and_their_runs(client):
    fields = {"schedules": [{"schedule": DAILY}, {"schedule": HOURLY, "slug": "s"}], "tags": ["t"]}
    flow = {"id": deploy(client)["flow_id"]}
    first = deploy(client, flow, name="again", **fields)
    runs = schedule(client, first)
    assert len(runs) > 3
    second = deploy(client, flow, name="again", status=200, **fields)
    assert second["schedules"] == first["schedules"]
    assert {run["id"] for run in runs_of(client, first)} == runs


def test_a_redeploy_with_other_schedules_keeps_those_that_are_the_same(client):
    flow = {"id": deploy(client)["flow_id"]}
    first = deploy(
        client, flow, name="again", schedules=[{"schedule": DAILY}, {"schedule": WEEKLY, "slug": "w"}, {"schedule": HOURLY}]
    )
    _, weekly, daily = (found["id"] for found in first["schedules"])
    schedule(client, first)
    wanted = [{"schedule": DAILY}, {"schedule": WEEKLY, "slug": "w", "parameters": {"x": 1}}]
    second = deploy(client, flow, name="again", status=200, schedules=wanted)
    assert {found["id"] for found in second["schedules"]} == {weekly, daily}
    assert makers(client, first) == {daily}
    assert deploy(client, flow, name="again", status=200)["schedules"] == []
    assert runs_of(client, first) == []


def test_schedules_with_slugs_are_updated_by_them(client):
    deployment = deploy(client, schedules=[{"schedule": DAILY, "slug": "a"}, {"schedule": HOURLY, "slug": "b"}])
    hourly, daily = (found["id"] for found in deployment["schedules"])
    change(client, deployment, schedules=[{"slug": "a", "active": False}, {"slug": "c", "schedule": WEEKLY}])
    found = {schedule["slug"]: schedule for schedule in read(client, deployment)["schedules"]}
    assert (found["a"]["id"], found["a"]["active"], found["b"]["id"]) == (daily, False, hourly)
    assert found["c"]["schedule"] == WEEKLY
    change(client, deployment, schedules=[{"slug": "b", "replaces": "a"}, {"slug": "a", "replaces": "b"}])
    assert {schedule["slug"]: schedule["id"] for schedule in read(client, deployment)["schedules"]} == {
        "a": hourly,
        "b": daily,
        "c": found["c"]["id"],
    }


def test_an_update_with_the_same_slugs_and_schedules_leaves_the_runs(client):
    wanted = [{"schedule": DAILY, "slug": "a", "parameters": {"x": 1}}, {"schedule": HOURLY, "slug": "b"}]
    deployment = deploy(client, schedules=wanted)
    runs = schedule(client, deployment)
    change(client, deployment, schedules=wanted)
    assert {run["id"] for run in runs_of(client, deployment)} == runs
    assert read(client, deployment)["schedules"] == deployment["schedules"]
    change(client, deployment, schedules=[wanted[0], {**wanted[1], "active": False}])
    assert makers(client, deployment) == {deployment["schedules"][1]["id"]}


@pytest.mark.parametrize(
    "schedules",
    [
        [{"schedule": DAILY}],
        [{"slug": "new"}],
        [{"slug": "b", "replaces": "a"}],
        [{"slug": "x", "replaces": "a"}, {"slug": "y", "replaces": "a"}],
    ],
)
def test_an_update_that_does_not_say_which_schedule_it_means_is_refused(client, schedules):
    deployment = deploy(client, schedules=[{"schedule": DAILY, "slug": "a"}, {"schedule": HOURLY, "slug": "b"}])
    assert told(change(client, deployment, 422, schedules=schedules))
    assert read(client, deployment) == deployment
