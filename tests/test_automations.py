"""Automations of a resource: read with it, and deleted with it where they belong to it."""

import pytest

from sql import database as db
from tests.resources import unique

TRIGGER = '{"type": "event", "posture": "Reactive", "expect": ["x"], "within": 5.0}'


@pytest.fixture
def resource() -> str:
    """The id of a resource that no other test has."""
    return f"prefect.deployment.{unique('x')}"


def automate(resource: str, owned: bool) -> str:
    """Store an automation of a resource, which has counted something, and give its id."""
    with db.connection() as conn:
        insert = "INSERT INTO automation (name, description, trigger, actions) VALUES ('a', '', %s, '[]') RETURNING id::text"
        (id,) = conn.execute(insert, [TRIGGER]).fetchone()
        related = "INSERT INTO automation_related_resource (automation_id, resource_id, automation_owned_by_resource)"
        conn.execute(f"{related} VALUES (%s, %s, %s)", [id, resource, owned])
        bucket = 'INSERT INTO automation_bucket (automation_id, trigger_id, bucketing_key, start, "end", count)'
        conn.execute(f"{bucket} VALUES (%s, gen_random_uuid(), '[]', now(), now(), 1)", [id])
    return id


def related_to(client, resource: str) -> list[dict]:
    """Read the automations of a resource."""
    answer = client.get(f"/api/automations/related-to/{resource}")
    assert answer.status_code == 200, answer.text
    return answer.json


def test_automations_are_found_by_the_resource_that_they_belong_to_or_act_on(client, resource):
    ids = [automate(resource, owned) for owned in (True, False)]
    automate(resource + "0", True)
    found = related_to(client, resource)
    assert [automation["id"] for automation in found] == ids
    assert found[0]["trigger"] == {"type": "event", "posture": "Reactive", "expect": ["x"], "within": 5.0}
    assert related_to(client, resource[:-1]) == []


def test_those_that_belong_to_a_resource_go_with_it_and_others_stay(client, resource):
    _, acting = [automate(resource, owned) for owned in (True, False)]
    for _ in range(2):
        answer = client.delete(f"/api/automations/owned-by/{resource}")
        assert (answer.status_code, answer.json) == (202, None)
        assert [automation["id"] for automation in related_to(client, resource)] == [acting]
