"""Logs: stored in batches, each checked, read by run and time."""

from datetime import datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest

import sql
from handlers.logs import order_name
from schemas.logs import LogCreate, Search, is_plain
from sql.database import connect
from sql.filters import compose, sort_by

START = datetime(2026, 11, 21, 4, 3, 26, 789078, timezone.utc)
DEEP = b'[{"name":' * 300 + b"1" + b"}]" * 300
LONG_RUN = UUID("0f6e5c1a-6d2e-4a9c-8c39-3f5b8f8f7d11")


def a_log(**fields) -> dict:
    """Make a log as Prefect's client writes it."""
    plain = {"name": "prefect.flow_runs", "level": 20, "message": "Hello", "timestamp": "2026-11-21T04:03:26.789078Z"}
    return {**plain, "flow_run_id": str(uuid4()), "task_run_id": None, **fields}


def find(client, sort="TIMESTAMP_ASC", limit=200, **criteria) -> list[dict]:
    """Give the logs that a filter finds."""
    answer = client.post("/api/logs/filter", json={"logs": criteria, "sort": sort, "limit": limit})
    assert answer.status_code == 200, answer.text
    return answer.json


def messages(client, run, **criteria) -> list[str]:
    """Give the messages of a flow run's logs that a filter finds, in order."""
    return [log["message"] for log in find(client, flow_run_id={"any_": [run]}, **criteria)]


def count_logs(database: str) -> int:
    """Count the rows of the table."""
    with connect(database) as conn:
        return conn.execute("SELECT count(*) FROM log").fetchone()[0]


def test_stores_what_was_sent(client):
    log = a_log(task_run_id=str(uuid4()), message='Größe "x"\n\t\\ 👋')
    answer = client.post("/api/logs/", json=[log])
    assert (answer.status_code, answer.json) == (201, None)
    (stored,) = find(client, flow_run_id={"any_": [log["flow_run_id"]]})
    assert list(stored) == ["id", "created", "updated", *log]
    assert {key: stored[key] for key in log} == log


def test_keeps_the_order_of_logs_of_the_same_instant(client):
    run = str(uuid4())
    logs = [a_log(flow_run_id=run, message=str(number)) for number in range(120)]
    client.post("/api/logs/", json=logs)
    assert messages(client, run) == [str(number) for number in range(120)]
    newest = find(client, sort="TIMESTAMP_DESC", limit=2, flow_run_id={"any_": [run]})
    assert [log["message"] for log in newest] == ["119", "118"]


def test_stores_a_batch_once_when_it_is_sent_again(client):
    run = str(uuid4())
    batch = [a_log(flow_run_id=run, message="twice in the batch") for _ in range(2)]
    for _ in range(3):
        assert client.post("/api/logs/", json=batch).status_code == 201
    assert len(messages(client, run)) == 2


def test_stores_equal_logs_of_different_batches(client):
    run = str(uuid4())
    log = a_log(flow_run_id=run)
    client.post("/api/logs/", json=[log])
    client.post("/api/logs/", json=[log, log])
    assert len(messages(client, run)) == 3


def test_takes_an_empty_batch(client):
    assert client.post("/api/logs/", json=[]).status_code == 201


def test_takes_logs_in_other_forms_than_the_client_sends(client):
    run = uuid4()
    log = {"name": "x", "level": 20, "message": "x", "timestamp": "2026-11-21 05:03:26+01:00", "flow_run_id": run.hex}
    assert client.post("/api/logs/", json=[log, a_log(flow_run_id=str(run), timestamp=1795233807)]).status_code == 201
    found = find(client, flow_run_id={"any_": [str(run)]})
    assert [log["timestamp"] for log in found] == ["2026-11-21T04:03:26Z", "2026-11-21T04:03:27Z"]
    assert found[0]["task_run_id"] is None


def test_leaves_out_nul_characters(client):
    log = a_log(name="a\0b", message="\0before\0after\\u0000")
    assert client.post("/api/logs/", json=[log]).status_code == 201
    (stored,) = find(client, flow_run_id={"any_": [log["flow_run_id"]]})
    assert (stored["name"], stored["message"]) == ("ab", "beforeafter\\u0000")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"level": 32768}, [1, "level"]),
        ({"level": -32769}, [1, "level"]),
        ({"level": True}, [1, "level"]),
        ({"level": 20.5}, [1, "level"]),
        ({"level": None}, [1, "level"]),
        ({"name": None}, [1, "name"]),
        ({"name": 5}, [1, "name"]),
        ({"message": ["x"]}, [1, "message"]),
        ({"timestamp": "yesterday"}, [1, "timestamp"]),
        ({"timestamp": "2026-02-30T00:00:00Z"}, [1, "timestamp"]),
        ({"timestamp": "2026-11-21T24:00:01Z"}, [1, "timestamp"]),
        ({"timestamp": "0001-01-01T00:00:00+05:00"}, [1, "timestamp"]),
        ({"timestamp": 1e300}, [1, "timestamp"]),
        ({"flow_run_id": "x"}, [1, "flow_run_id"]),
        ({"task_run_id": {}}, [1, "task_run_id"]),
        ({"id": str(uuid4())}, [1, "id"]),
        ({"worker_id": None}, [1, "worker_id"]),
    ],
)
def test_refuses_a_batch_with_a_bad_log_and_stores_none_of_it(client, module_database, fields, place):
    before = count_logs(module_database)
    answer = client.post("/api/logs/", json=[a_log(), a_log(**fields)])
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json["exception_detail"]] == [["body", *place]]
    assert count_logs(module_database) == before


def test_names_every_field_that_is_missing(client):
    answer = client.post("/api/logs/", json=[{"name": "x"}])
    places = [problem["loc"][1:] for problem in answer.json["exception_detail"]]
    assert sorted(places) == [[0, "level"], [0, "message"], [0, "timestamp"]]
    assert {problem["type"] for problem in answer.json["exception_detail"]} == {"missing"}


@pytest.mark.parametrize(
    "content", [b"", b"null", b"{}", b"5", b"[1]", b"[null]", b"[{]", b'[{"name": "\xff"}]', b'["\\ud800"]', DEEP]
)
def test_refuses_a_body_that_is_no_batch(client, content):
    answer = client.post("/api/logs/", data=content, content_type="application/json")
    assert answer.status_code == 422
    assert answer.json["exception_detail"]


@pytest.mark.parametrize(
    ("field", "text"),
    [
        *(("name", text) for text in (5, None, [], {})),
        *(("level", number) for number in (-32769, 32768, 2**70, 20.0, "20", True, None)),
        *(("message", text) for text in (5, None, [], {})),
        *(("timestamp", time) for time in ("", "now", 5, None, [], "2026-02-29T04:03:26Z", "0000-01-01T00:00:00Z")),
        *(("timestamp", f"2026-11-21T{time}") for time in ("24:00:00Z", "04:60:00Z", "04:03:60Z", "04:03:26.1234567Z", "04:03")),
        ("timestamp", "2026-11-21T04:03:26Z\n2026-11-21T04:03:26Z"),
        ("timestamp", "\u0662026-11-21T04:03:26Z"),
        *(("flow_run_id", id) for id in ("", "x", 5, {}, "0f6e5c1a-6d2e-4a9c-8c39-3f5b8f8f7d1g", f"{LONG_RUN}\n")),
        *(("task_run_id", id) for id in ("", "x", 5, {}, [])),
        ("more", None),
    ],
)
def test_leaves_every_odd_log_to_the_schema(field, text):
    assert not is_plain([a_log(), a_log(**{field: text})])
    assert not is_plain([a_log(), {key: value for key, value in a_log().items() if key != field} | {"x": 1}])


@pytest.mark.parametrize("logs", [None, 5, "x", {}, [None], [[]], [a_log(), 5], []])
def test_leaves_what_is_no_list_of_logs_to_the_schema(logs):
    assert not is_plain(logs)


def test_calls_plain_what_the_client_sends():
    logs = [a_log(), a_log(timestamp="2026-11-21T04:03:26Z", task_run_id=str(uuid4())), a_log(flow_run_id=None)]
    assert is_plain(logs)
    assert LogCreate(many=True).load(logs)


def test_finds_by_level_and_time(client):
    run = str(uuid4())
    moments = [START + timedelta(seconds=number) for number in range(5)]
    client.post(
        "/api/logs/",
        json=[a_log(flow_run_id=run, level=10 * n, message=str(n), timestamp=m.isoformat()) for n, m in enumerate(moments)],
    )
    assert messages(client, run, level={"ge_": 10, "le_": 30}) == ["1", "2", "3"]
    between = {"after_": moments[1].isoformat(), "before_": moments[2].isoformat()}
    assert messages(client, run, timestamp=between) == ["1", "2"]
    assert messages(client, run, level=None, timestamp={"before_": None}) == ["0", "1", "2", "3", "4"]


def test_finds_by_task_run(client):
    run, task_run = str(uuid4()), str(uuid4())
    client.post(
        "/api/logs/",
        json=[a_log(flow_run_id=run, message="flow"), a_log(flow_run_id=run, task_run_id=task_run, message="task")],
    )
    assert [log["message"] for log in find(client, task_run_id={"any_": [task_run]})] == ["task"]
    assert messages(client, run, task_run_id={"is_null_": True}) == ["flow"]
    assert messages(client, run, task_run_id={"is_null_": False}) == ["task"]
    assert find(client, flow_run_id={"any_": []}) == []


def test_joins_criteria_by_or(client):
    run, task_run = str(uuid4()), str(uuid4())
    client.post("/api/logs/", json=[a_log(flow_run_id=run, message="flow"), a_log(task_run_id=task_run, message="task")])
    found = find(client, operator="or_", flow_run_id={"any_": [run]}, task_run_id={"any_": [task_run]})
    assert sorted(log["message"] for log in found) == ["flow", "task"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["connection timeout", "Error 100%", "debug: error"]),
        ("   ", ["connection timeout", "Error 100%", "debug: error"]),
        ("ERROR", ["Error 100%", "debug: error"]),
        ("timeout 100%", ["connection timeout", "Error 100%"]),
        ("error -debug", ["Error 100%"]),
        ("!debug", ["connection timeout", "Error 100%"]),
        ("+error +100", ["Error 100%"]),
        ('"connection timeout"', ["connection timeout"]),
        ('"timeout connection"', []),
        ("my.logger", ["connection timeout", "Error 100%", "debug: error"]),
        ("_", []),
        ("\\", []),
    ],
)
def test_finds_by_text(client, query, found):
    run = str(uuid4())
    texts = ["connection timeout", "Error 100%", "debug: error"]
    client.post("/api/logs/", json=[a_log(flow_run_id=run, name="my.logger", message=text) for text in texts])
    assert messages(client, run, text={"query": query}) == found


def test_splits_a_text_query_into_terms():
    terms = Search().deserialize('one -two !"three four" +Five - six"seven \\"eight\\\\" "" "nine')
    assert terms == [" one", "-two", "-three four", "+five", " six", ' seven "eight\\', " nine"]
    assert Search().deserialize('"ten\\') == [" ten\\"]


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"limit": 201}, ["limit"]),
        ({"limit": -1}, ["limit"]),
        ({"offset": -1}, ["offset"]),
        ({"sort": "NAME_ASC"}, ["sort"]),
        ({"logs": {"name": {"any_": ["x"]}}}, ["logs", "name"]),
        ({"logs": {"operator": "xor_"}}, ["logs", "operator"]),
        ({"logs": {"text": {}}}, ["logs", "text", "query"]),
        ({"logs": {"text": {"query": "x" * 201}}}, ["logs", "text", "query"]),
        ({"logs": {"flow_run_id": {"any_": ["x"]}}}, ["logs", "flow_run_id", "any_", 0]),
        ({"logs": {"level": {"ge_": 2**40}}}, ["logs", "level", "ge_"]),
    ],
)
def test_refuses_a_bad_filter(client, fields, place):
    answer = client.post("/api/logs/filter", json=fields)
    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json["exception_detail"]] == [["body", *place]]


def test_refuses_more_logs_than_it_can_number(client, monkeypatch):
    monkeypatch.setattr("handlers.logs.MAX_LOGS", 2)
    assert client.post("/api/logs/", json=[a_log()] * 2).status_code == 201
    assert client.post("/api/logs/", json=[a_log()] * 3).status_code == 422


def test_takes_null_for_every_argument(client):
    answer = client.post("/api/logs/filter", json={"logs": None, "limit": None, "offset": None, "sort": None})
    assert answer.status_code == 200


@pytest.mark.parametrize("sort", ["TIMESTAMP_ASC", "TIMESTAMP_DESC"])
@pytest.mark.parametrize("run", ["flow_run_id", "task_run_id"])
def test_reads_a_page_of_one_runs_logs_by_the_index_of_that_run(conn, run, sort):
    conn.execute(
        f"INSERT INTO log (name, level, message, {run}, timestamp)"
        " SELECT 'x', 20, 'x', CASE WHEN n > 20000 THEN %s ELSE gen_random_uuid() END, now() + make_interval(secs => n)"
        "   FROM generate_series(1, 30000) AS n",
        [LONG_RUN],
    )
    conn.execute("ANALYZE log")
    criteria = {"operator": "and_", "level": {"ge_": 0}, run: {"any_": [str(LONG_RUN)]}}
    chosen, order = compose("logs", logs=criteria), sort_by("logs", order_name(sort, criteria))
    text = sql.logs.filter.text.replace("{filter}", chosen.text).replace("{sort}", order)
    plan = conn.execute(f"EXPLAIN {text}", {**chosen.parameters, "limit": 50, "offset": 0}).fetchall()
    lines = [line for (line,) in plan if "Scan" in line]
    assert any(f"log__{run}_timestamp" in line for line in lines), plan
    assert not any("Seq Scan" in line or "ix_log__timestamp" in line for line in lines), plan
