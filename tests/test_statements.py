"""Every statement and every fragment is one that PostgreSQL accepts, on the schema that the migrations make."""

import pytest

from sql import STATEMENTS
from sql.filters import RESOURCES, compose, gather
from sql.statement import SHAPES, Statement, number_parameters

ALL = [statement for file in STATEMENTS.values() for statement in file.values()]
CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT")


def prepare(conn, text: str) -> None:
    """Have PostgreSQL parse and check a statement."""
    numbered, _ = number_parameters(text)
    result = conn.pgconn.prepare(b"", numbered)
    assert not result.error_message, f"{result.error_message.decode()}\n{text}"


@pytest.mark.parametrize("statement", ALL, ids=lambda statement: statement.name)
def test_a_statement_is_accepted(conn, statement: Statement):
    if statement.text.startswith(CONTROL):
        return
    resource = statement.name.partition(".")[0]
    for order in RESOURCES[resource].sort.values() if resource in RESOURCES else ["1"]:
        for run in ("flow_run", "task_run") if "{run}" in statement.text else ("",):
            prepare(conn, statement.text.replace("{filter}", "TRUE").replace("{sort}", order).replace("{run}", run))


@pytest.mark.parametrize("statement", ALL, ids=lambda statement: statement.name)
def test_a_statement_says_what_it_does(statement: Statement):
    assert statement.prose.endswith("."), "a sentence stands above each statement"
    assert statement.shape in SHAPES
    assert "SELECT *" not in statement.text


@pytest.mark.parametrize(
    ("resource", "name"), [(resource, name) for resource in RESOURCES for name in RESOURCES[resource].predicate]
)
def test_a_predicate_is_accepted(conn, resource, name):
    text = RESOURCES[resource].predicate[name]
    prepare(conn, f"SELECT FROM {RESOURCES[resource].table} WHERE ({text}) AND NOT ({text})")


@pytest.mark.parametrize(
    ("resource", "other"),
    [(resource, other) for resource in RESOURCES for kind in ("via", "through") for other in getattr(RESOURCES[resource], kind)],
)
def test_a_way_to_another_resource_is_accepted(conn, resource, other):
    assert not (other in RESOURCES[resource].via and other in RESOURCES[resource].through)
    prepare(conn, f"SELECT FROM {RESOURCES[resource].table} WHERE {gather(resource, {other: {}}, {})}")


@pytest.mark.parametrize("resource", RESOURCES)
def test_all_ways_together_are_accepted(conn, resource):
    ways = [*RESOURCES[resource].via, *RESOURCES[resource].through, resource]
    prepare(conn, f"SELECT FROM {RESOURCES[resource].table} WHERE {compose(resource, **{way: {} for way in ways}).text}")


def test_a_parameter_without_a_cast_is_refused():
    with pytest.raises(ValueError, match="parameter id needs a cast"):
        Statement("flows.broken", "one", "SELECT %(id)s")
