"""Sequences about the automations of a resource, which are put into the database itself."""

from tests.differential import Step

TRIGGER = (
    '{"type": "event", "id": "11111111-1111-4111-8111-111111111111", "match": {}, "match_related": {"a": ["b"]}, "after": [],'
    ' "expect": ["x.y"], "for_each": [], "posture": "Reactive", "threshold": 1, "within": 5.0}'
)
RESOURCE = "prefect.deployment.{uuid.deployment}"


def automation(name: str, owned: bool, resource: str = RESOURCE) -> list[Step]:
    """Store an automation that belongs to a resource, or acts on it only."""
    columns = f"""
        INSERT INTO automation (name, description, trigger, actions, tags)
        VALUES ('{name}-{{unique}}', 'd', '{TRIGGER}', '[{{"type": "do-nothing"}}]', '["t"]')
        RETURNING id"""
    related = f"""
        INSERT INTO automation_related_resource (automation_id, resource_id, automation_owned_by_resource)
        VALUES ('{{{name}.id}}', '{resource}', {owned})"""
    return [Step("SQL", columns, save=name), Step("SQL", related)]


READ = Step("GET", f"/automations/related-to/{RESOURCE}", unordered=True)
LEFT = Step("SQL", "SELECT name FROM automation WHERE name LIKE '%{unique}' ORDER BY name")

SEQUENCES = {
    "of_a_resource": [
        READ,
        *automation("own", True),
        *automation("other", False),
        *automation("elsewhere", True, "prefect.deployment.{uuid.other}"),
        READ,
        Step("DELETE", f"/automations/owned-by/{RESOURCE}"),
        READ,
        LEFT,
        Step("DELETE", f"/automations/owned-by/{RESOURCE}"),
        Step("DELETE", "/automations/owned-by/anything at all".replace(" ", "%20")),
        Step("GET", "/automations/related-to/a%2Fb"),
        Step("GET", "/automations/related-to/%C3%BC"),
        LEFT,
    ],
}
