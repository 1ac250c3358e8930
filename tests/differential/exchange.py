"""Sends the steps of a sequence to a server."""

import datetime
import http.client
import json
import re
import uuid
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import psycopg
from psycopg.rows import dict_row

from tests.differential import Step
from tests.waiting import PATIENCE_SECONDS

REFERENCE = re.compile(r"\{(now[+-]\d+(?:\.\d+)?|[a-z_0-9]+(?:\.[a-zA-Z_0-9]+)*)\}")
CLIENT_HEADERS = {"User-Agent": "prefect/3.8.3 (API 0.8.4)", "X-PREFECT-API-VERSION": "0.8.4"}


class Answer(NamedTuple):
    """What was sent as (method, path, body) and what came back.

    `body` is the parsed JSON, text when it is not JSON, None when empty. The side's unique word reads `unique` in both.
    """

    sent: tuple
    status: int
    headers: http.client.HTTPMessage
    body: Any


class Side:
    """One server under comparison: its connection, and the answers saved so far in the running sequence.

    `database_url` is that of the server's database; without it steps that are SQL cannot be sent.
    """

    def __init__(self, api: str, database_url: str | None = None):
        self.database_url = database_url
        self.address = urlsplit(api)
        self.connection = http.client.HTTPConnection(self.address.hostname, self.address.port, timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    def begin(self, started: datetime.datetime) -> None:
        """Forget the sequence before; `started` is what `{now+0}` means in the one that begins."""
        self.unique = uuid.uuid4().hex[:12]
        self.started = started
        self.saved = {"unique": self.unique, "uuid": {}}

    def send(self, step: Step) -> Answer:
        """Send one step with its references filled in and keep the answer under its name."""
        path, headers, body = self.fill(step.path), self.fill(step.headers), self.fill(step.body)
        if step.method == "SQL":
            return self.execute(step, path)
        content = step.raw if step.raw is not None else None if body is None else json.dumps(body).encode()
        headers = CLIENT_HEADERS | ({"Content-Type": "application/json"} if content is not None else {}) | headers
        response = self.request(step.method, self.address.path + path, content, headers)
        text = response.read().decode(errors="replace")
        self.saved[step.save] = parse(text)
        sent = parse(json.dumps((step.method, path, body)).replace(self.unique, "unique"))
        return Answer(sent, response.status, response.headers, parse(text.replace(self.unique, "unique")))

    def execute(self, step: Step, statement: str) -> Answer:
        """Execute a statement on the server's database; the first row, an object, is kept under the step's name."""
        with psycopg.connect(self.database_url, row_factory=dict_row, options="-c timezone=UTC") as conn:
            cursor = conn.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        text = json.dumps(rows, default=str)
        self.saved[step.save] = (parse(text) or [None])[0]
        sent = ("SQL", statement.replace(self.unique, "unique"), None)
        return Answer(sent, 200, http.client.HTTPMessage(), parse(text.replace(self.unique, "unique")))

    def request(self, method, path, content, headers) -> http.client.HTTPResponse:
        """Send a request on the kept connection, on a new one if the server has closed it."""
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, content, headers)
                return self.connection.getresponse()
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                if attempt == 2:
                    raise
        return None

    def fill(self, value: Any) -> Any:
        """Replace references in strings; a string that is nothing but a reference becomes the value itself."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = REFERENCE.fullmatch(value)
        return self.look_up(whole[1]) if whole else REFERENCE.sub(lambda match: str(self.look_up(match[1])), value)

    def look_up(self, reference: str) -> Any:
        """Find the value that a reference stands for; `missing` when no answer has such a field."""
        if reference.startswith(("now+", "now-")):
            moment = self.started + datetime.timedelta(seconds=float(reference[3:]))
            return moment.isoformat().replace("+00:00", "Z")
        first, *fields = reference.split(".")
        if first == "uuid":
            return self.saved["uuid"].setdefault(fields[0], str(uuid.uuid4()))
        value = self.saved.get(first, "missing")
        for field in fields:
            try:
                value = value[int(field)] if isinstance(value, list) else value[field]
            except (KeyError, IndexError, TypeError, ValueError):
                return "missing"
        return value


def parse(text: str) -> Any:
    """Read JSON; give the text itself when it is none and None when it is empty."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return text
