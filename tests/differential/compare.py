"""Compares the answers of two servers: ids, times and generated names are mapped, wording is free, the rest equal."""

import datetime
import json
import re
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.differential import Step
from tests.differential.exchange import Answer, Side

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
INTERVAL = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
GENERATED_NAME = re.compile(r"[a-z]+-[a-z]+")
# Words that the client looks for in free text: where Prefect's text has one, ours has it too.
CLIENT_MATCHED = ("CSRF protection is disabled.", "Invalid CSRF token", "Locked")
FREE_TEXT = {"exception_message", "detail", "reason", "message"}
SECONDS = {
    *("total_run_time", "estimated_run_time", "estimated_start_time_delta", "duration", "lateness"),
    *("sum_estimated_run_time", "sum_estimated_lateness"),
}
# Lists that are sets on Prefect's side: their order changes from process to process, or with PostgreSQL's plan.
SETS = {"pause_keys", "states"}
# Both servers get a step one after the other; moments and durations of the same thing agree within this.
TOLERANCE_SECONDS = 3.0
# Times of one answer that are further apart than the first on Prefect's side come in the same order on ours, where a
# moment taken at the start of a transaction may be as much older as the second.
ORDER_SECONDS, MOMENT_SECONDS = 0.02, 0.005


class Pairing(NamedTuple):
    """What has been learned in a sequence: ids and generated names that stand for each other, and all strings sent."""

    forth: dict
    back: dict
    sent: set


class Compared(NamedTuple):
    """One step, what Prefect (`theirs`) and Downbeat (`ours`) answered, and each difference as a line."""

    step: Step
    theirs: Answer
    ours: Answer
    differences: list[str]


def compare(steps: list[Step], prefect: Side, downbeat: Side, same: bool = False) -> Iterator[Compared]:
    """Send the steps of a sequence to both sides, one step after the other, and compare the answers.

    With `same` both sides are the same kind of server, so that intended differences are none. It ends early where
    Prefect fails and Downbeat writes: from there on what they have differs. Where Prefect refuses to move a paused run it
    marks it as resuming all the same, so that its next start is not counted; here what is refused changes nothing.
    """
    started = datetime.datetime.now(datetime.timezone.utc)
    prefect.begin(started)
    downbeat.begin(started)
    pairing = Pairing({}, {}, set())
    marked = False
    for step in steps:
        time.sleep(step.pause_seconds)
        theirs, ours = prefect.send(step), downbeat.send(step)
        if marked and not same:
            step = step._replace(ignore=(*step.ignore, "resuming", "run_count"))
        marked = marked or is_refusal_of_paused(theirs)
        pairing.sent.update(strings(theirs.sent))
        if step.differs and not same:
            yield Compared(step, theirs, ours, list(unexpected(step, ours)))
        else:
            yield Compared(step, theirs, ours, list(differences(step, theirs, ours, pairing)))
        if step.method != "GET" and theirs.status >= 500 and ours.status < 400:
            return


def is_refusal_of_paused(answer: Answer) -> bool:
    """Tell whether an answer leaves a paused run as it is."""
    body = answer.body if isinstance(answer.body, dict) else {}
    state = body.get("state")
    return body.get("status") == "REJECT" and isinstance(state, dict) and state.get("type") == "PAUSED"


def unexpected(step: Step, ours: Answer) -> Iterator[str]:
    """Give what is not as a step with an intended difference says."""
    if ours.status >= 500 or (step.status and ours.status != step.status):
        yield f"status: {step.status} is intended, ours is {ours.status} ({step.differs})"
    if not contains(ours.body, step.contains):
        yield f"body: {step.contains!r} is intended ({step.differs})"


def contains(whole: Any, part: Any) -> bool:
    """Tell whether a document has all that `part` has; None is part of anything."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(contains(whole.get(key), item) for key, item in part.items())
    return part is None or whole == part


def differences(step: Step, theirs: Answer, ours: Answer, pairing: Pairing) -> Iterator[str]:
    """Give each difference of two answers: status, headers that matter, body; any 4xx is fine where theirs is a 5xx."""
    if theirs.status >= 500 > ours.status:
        return  # A failure of theirs says nothing about what is right.
    if {theirs.status, ours.status} == {404, 405}:
        return  # Which of these an unknown address gets depends on the order of routes.
    if theirs.status != ours.status:
        yield f"status: theirs {theirs.status}, ours {ours.status}"
        return
    if (kinds := [answer.headers.get_content_type() for answer in (theirs, ours)])[0] != kinds[1] and theirs.body:
        yield f"content-type: theirs {kinds[0]}, ours {kinds[1]}"
    if ("Retry-After" in theirs.headers) != ("Retry-After" in ours.headers):
        yield f"Retry-After: theirs {theirs.headers.get('Retry-After')}, ours {ours.headers.get('Retry-After')}"
    if theirs.status == 422 and isinstance(ours.body, dict) and "exception_detail" in ours.body:
        yield from validation_differences(theirs.body, ours.body)
        return
    if theirs.status == 404 and {*theirs.body} | {*ours.body} <= {"detail", "exception_message"}:
        return  # Prefect says it in one or the other.
    bodies = [theirs.body, ours.body]
    if step.unordered:
        bodies = [arranged(theirs.body, {id: id for id in pairing.forth}), arranged(ours.body, pairing.back)]
    found = list(body_differences("", *bodies, step.ignore, pairing))
    yield from found or order_differences(*bodies, step.ignore)


def validation_differences(theirs: dict, ours: dict) -> Iterator[str]:
    """Compare refusals of a body: the same shape, and a field that both complain of, or one a field inside the other's.

    What Prefect tells in words, with nothing but `detail`, ours tells so too; only numbers out of range may be named as fields.
    """
    if set(theirs) == {"detail"}:
        if any(error["loc"][-1] not in ("limit", "slots") for error in ours["exception_detail"]):
            yield f"shape of the refusal: theirs {theirs}, ours {ours}"
        return
    if set(ours) != set(theirs) or not isinstance(ours["exception_detail"], list):
        yield f"shape of the refusal: theirs {theirs}, ours {ours}"
    elif not all({"type", "loc", "msg"} <= set(error) for error in ours["exception_detail"]):
        yield f"exception_detail: type, loc and msg are needed, ours {ours['exception_detail']}"
    else:
        fields = [[place(error) for error in body["exception_detail"]] for body in (theirs, ours)]
        if not any(one[: len(other)] == other[: len(one)] for one in fields[0] for other in fields[1]):
            yield f"exception_detail.loc: theirs {sorted(set(fields[0]))}, ours {sorted(set(fields[1]))}"


def place(error: dict) -> tuple[str, ...]:
    """Give the field that an error is about: the outer two names of where it is, no positions in malformed JSON."""
    return tuple(name for name in error["loc"][:2] if isinstance(name, str))


def arranged(body: Any, known: dict[str, str]) -> Any:
    """Sort lists whose order means nothing, by all that is in their items but times and ids not known by a name yet."""
    if isinstance(body, dict):
        return {key: arranged(item, known) for key, item in body.items()}
    if isinstance(body, list):
        return sorted(body, key=lambda item: TIME.sub("", UUID.sub(lambda id: known.get(id[0], ""), json.dumps(item))))
    return body


def body_differences(path: str, theirs: Any, ours: Any, ignore: tuple, pairing: Pairing) -> Iterator[str]:
    """Walk two documents side by side and give each place where they differ."""
    name = path.rpartition(".")[2]
    if name in ignore:
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        theirs = {pairing.forth.get(key, key): item for key, item in theirs.items()}
        for key in theirs:
            if key not in ours:
                yield f"{path}.{key}: ours lacks it, theirs {theirs[key]!r}"
            else:
                yield from body_differences(f"{path}.{key}", theirs[key], ours[key], ignore, pairing)
        yield from (f"{path}.{key}: theirs lacks it, ours {ours[key]!r}" for key in ours if key not in theirs)
    elif isinstance(theirs, list) and isinstance(ours, list):
        if name in SETS:
            theirs, ours = sorted(theirs, key=json.dumps), sorted(ours, key=json.dumps)
        if len(theirs) != len(ours):
            yield f"{path}: theirs has {len(theirs)} items, ours {len(ours)}: {theirs!r} / {ours!r}"
        for number, pair in enumerate(zip(theirs, ours, strict=False)):
            yield from body_differences(f"{path}[{number}]", *pair, ignore, pairing)
    elif not alike(name, theirs, ours, pairing):
        yield f"{path}: theirs {theirs!r}, ours {ours!r}"


def alike(name: str, theirs: Any, ours: Any, pairing: Pairing) -> bool:
    """Tell whether two plain values stand for each other."""
    if isinstance(theirs, str) and isinstance(ours, str):
        return texts_are_alike(name, theirs, ours, pairing)
    if (name == "delay_seconds" and type(theirs) is type(ours) is int) or name in SECONDS:
        return is_number(theirs) and is_number(ours) and abs(theirs - ours) <= TOLERANCE_SECONDS
    return theirs == ours and isinstance(theirs, bool) == isinstance(ours, bool)


def texts_are_alike(name: str, theirs: str, ours: str, pairing: Pairing) -> bool:
    """Compare strings: ids and generated names by what they stood for, times by the clock, wording not at all."""
    if theirs in pairing.sent and not UUID.search(theirs):
        return theirs == ours
    if TIME.fullmatch(theirs) and TIME.fullmatch(ours):
        same_form = theirs[10] == ours[10] and theirs.endswith("Z") == ours.endswith("Z")
        return same_form and abs((moment(theirs) - moment(ours)).total_seconds()) <= TOLERANCE_SECONDS
    if INTERVAL.fullmatch(theirs) and INTERVAL.fullmatch(ours):
        return abs(interval_seconds(theirs) - interval_seconds(ours)) <= TOLERANCE_SECONDS
    if UUID.sub("", theirs) == UUID.sub("", ours):
        ids = zip(UUID.findall(theirs), UUID.findall(ours), strict=True)
        return all(stand_for_each_other(*pair, pairing) for pair in ids)
    if name in FREE_TEXT:
        return bool(theirs) == bool(ours) and all(words in ours for words in CLIENT_MATCHED if words in theirs)
    if GENERATED_NAME.fullmatch(theirs) and GENERATED_NAME.fullmatch(ours) and name == "name":
        return stand_for_each_other(theirs, ours, pairing)
    return theirs == ours


def stand_for_each_other(theirs: str, ours: str, pairing: Pairing) -> bool:
    """Tell whether two values are a pair, and remember them as one when neither was seen before."""
    return pairing.forth.setdefault(theirs, ours) == ours and pairing.back.setdefault(ours, theirs) == theirs


def order_differences(theirs: Any, ours: Any, ignore: tuple) -> Iterator[str]:
    """Give pairs of times of one document that are equal or ordered on Prefect's side but not on ours."""
    pairs = [(path, moment(a), moment(b)) for path, a, b in times("", theirs, ours, ignore)]
    for number, (path, their_first, our_first) in enumerate(pairs):
        for other, their_second, our_second in pairs[number + 1 :]:
            theirs_apart = (their_second - their_first).total_seconds()
            ours_apart = (our_second - our_first).total_seconds()
            if theirs_apart == 0 != ours_apart:
                yield f"{path} and {other} are equal in theirs, {ours_apart} s apart in ours"
            elif theirs_apart * ours_apart < 0 and abs(theirs_apart) > ORDER_SECONDS and abs(ours_apart) > MOMENT_SECONDS:
                yield f"{path} and {other} come in another order in ours"


def times(path: str, theirs: Any, ours: Any, ignore: tuple) -> Iterator[tuple[str, str, str]]:
    """Give the times that both documents have at the same place."""
    if path.rpartition(".")[2] in ignore:
        return
    if isinstance(theirs, dict) and isinstance(ours, dict):
        for key in theirs.keys() & ours.keys():
            yield from times(f"{path}.{key}", theirs[key], ours[key], ignore)
    elif isinstance(theirs, list) and isinstance(ours, list):
        for number, pair in enumerate(zip(theirs, ours, strict=False)):
            yield from times(f"{path}[{number}]", *pair, ignore)
    elif isinstance(theirs, str) and isinstance(ours, str) and TIME.fullmatch(theirs) and TIME.fullmatch(ours):
        yield path, theirs, ours


def moment(text: str) -> datetime.datetime:
    """Read an RFC 3339 time; fractions of any length."""
    seconds, fraction, zone = re.fullmatch(r"(.{19})(\.\d+)?(.+)", text).groups()
    fraction = f"{fraction or '.0'}000000"[:7]
    return datetime.datetime.fromisoformat(seconds + fraction + zone.replace("Z", "+00:00"))


def interval_seconds(text: str) -> float:
    """Read an interval as PostgreSQL writes it."""
    hours, minutes, seconds = INTERVAL.fullmatch(text).groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def strings(value: Any) -> Iterator[str]:
    """Give all strings of a document."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


def is_number(value: Any) -> bool:
    """Tell numbers from truth values."""
    return isinstance(value, int | float) and not isinstance(value, bool)
