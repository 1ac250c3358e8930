"""Block types, block schemas and block documents."""

import orjson
import pytest
from cryptography.fernet import Fernet

from sql.database import connect
from tests.resources import NOBODY, created, problems, told, unique

HIDDEN = "********"


def make_type(client, **fields) -> dict:
    slug = unique("type")
    return created(client, "block_types", **{"name": slug, "slug": slug, **fields})


def make_schema(client, block_type, capabilities=(), **fields) -> dict:
    body = {"fields": {"title": unique("Title"), **fields}, "block_type_id": block_type["id"], "capabilities": capabilities}
    return created(client, "block_schemas", **body)


def make_document(client, schema, **fields) -> dict:
    ids = {"block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    return created(client, "block_documents", **{"name": unique("block"), **ids, **fields})


def read(client, document, secrets=False) -> dict:
    answer = client.get(f"/api/block_documents/{document['id']}?include_secrets={secrets}")
    assert answer.status_code == 200, answer.text
    return answer.json


def change(client, document, data, **fields):
    answer = client.patch(f"/api/block_documents/{document['id']}", json={"data": data, **fields})
    assert answer.status_code == 204, answer.text


def inside(document) -> dict:
    """Give the value that stands for another block."""
    return {"$ref": {"block_document_id": document["id"]}}


def events_of(client, kind, thing) -> list[dict]:
    """Give what was recorded about something, oldest first."""
    criteria = {"resource": {"id": [f"prefect.{kind}.{thing['id']}"]}, "order": "ASC"}
    return client.post("/api/events/filter", json={"filter": criteria}).json["events"]


@pytest.fixture
def schema(client) -> dict:
    """A schema with secrets."""
    return make_schema(client, make_type(client), ["write-path"], secret_fields=["password", "deep.key", "all.*"])


SECRETS = {"password": "p", "deep": {"key": 5, "open": "x"}, "all": {"a": "b", "c": {"d": None}}, "open": "word"}
SHOWN = SECRETS | {
    "password": HIDDEN,
    "deep": {"key": HIDDEN, "open": "x"},
    "all": {"a": HIDDEN, "c": {"d": HIDDEN}},
}


def test_markup_in_the_texts_of_a_type_is_escaped(client):
    assert make_type(client, description="a < b & 'c'")["description"] == "a &lt; b &amp; 'c'"


def test_a_type_is_found_by_id_and_by_slug_and_among_all(client):
    block_type = make_type(client)
    assert client.get(f"/api/block_types/{block_type['id']}").json == block_type
    assert client.get(f"/api/block_types/slug/{block_type['slug']}").json == block_type
    for criteria in ({"slug": {"any_": [block_type["slug"]]}}, {"name": {"like_": block_type["name"].upper()}}):
        assert client.post("/api/block_types/filter", json={"block_types": criteria}).json == [block_type]
    assert client.get("/api/block_types/slug/none").status_code == 404


def test_a_slug_is_taken_only_once_and_names_of_prefect_are_reserved(client):
    block_type = make_type(client)
    again = client.post("/api/block_types/", json={"name": "other", "slug": block_type["slug"]})
    reserved = client.post("/api/block_types/", json={"name": "Prefect Thing", "slug": unique("slug")})
    assert (again.status_code, reserved.status_code) == (409, 403)


def test_what_happens_to_a_type_is_recorded(client):
    block_type = make_type(client)
    everything = {"description": "d", "logo_url": None, "documentation_url": None, "code_example": None}
    for _ in range(2):  # the second changes nothing
        assert client.patch(f"/api/block_types/{block_type['id']}", json=everything).status_code == 204
    assert client.delete(f"/api/block_types/{block_type['id']}").status_code == 204
    assert client.delete(f"/api/block_types/{block_type['id']}").status_code == 404
    recorded = [(event["event"], event["payload"]["description"]) for event in events_of(client, "block-type", block_type)]
    assert recorded == [
        (f"prefect.block-type.{verb}", text)
        for verb, text in zip(("created", "updated", "deleted"), (None, "d", "d"), strict=True)
    ]


def test_a_protected_type_is_not_deleted_nor_are_its_schemas(client, schema, module_database):
    with connect(module_database) as conn:
        conn.execute("UPDATE block_type SET is_protected = true WHERE id = %s", (schema["block_type_id"],))
    assert client.delete(f"/api/block_types/{schema['block_type_id']}").status_code == 403
    assert client.delete(f"/api/block_schemas/{schema['id']}").status_code == 403
    assert client.get(f"/api/block_schemas/{schema['id']}").status_code == 200


def test_the_same_fields_in_the_same_version_are_the_same_schema(client):
    schema = make_schema(client, make_type(client), title=(title := unique("Title")))
    body = {"fields": {"title": title}, "block_type_id": schema["block_type_id"]}
    again = client.post("/api/block_schemas/", json=body)
    newer = client.post("/api/block_schemas/", json=body | {"version": "2"})
    assert (again.status_code, again.json) == (200, schema)
    assert (newer.status_code, newer.json["checksum"]) == (201, schema["checksum"])
    for query, found in (("", newer.json), ("?version=2", newer.json), ("?version=non-versioned", schema)):
        assert client.get(f"/api/block_schemas/checksum/{schema['checksum']}{query}").json == found
    assert client.get(f"/api/block_schemas/checksum/{schema['checksum']}?version=3").status_code == 404


def test_the_checksum_is_that_of_the_client():
    prefect = pytest.importorskip("prefect.blocks.core")
    from handlers.domain.block_schemas import checksum

    definitions = {
        "Plain": {"type": "object", "properties": {"x": {"$ref": "#/definitions/Deep"}}, "secret_fields": ["x"]},
        "Deep": {"default": "é", "maximum": 1.5},
        "Block": {
            "block_type_slug": "b",
            "properties": {"y": {"$ref": "#/definitions/Inside"}, "z": {"$ref": "#/definitions/Empty"}},
        },
        "Inside": {"default": 1},
        "Empty": {},
    }
    properties = {"a": {"$ref": "#/definitions/Plain"}, "b": [{"$ref": "#/definitions/Block"}]}
    for fields in ({}, {"title": "é"}, {"properties": properties, "definitions": definitions}, {"definitions": {}}):
        assert checksum(fields) == prefect.Block._calculate_schema_checksum(fields)


def test_a_schema_shows_the_schemas_nested_in_it_and_registers_those_that_are_new(client):
    outer, inner = make_type(client), make_type(client)
    nested = {"title": "Inner", "block_type_slug": inner["slug"], "secret_fields": ["token"]}
    reference = {"block_type_slug": inner["slug"], "block_schema_checksum": "sha256:unknown"}
    schema = make_schema(
        client,
        outer,
        properties={"held": {"$ref": "#/definitions/Inner"}},
        definitions={"Inner": nested},
        block_schema_references={"held": reference},
    )
    [stored] = client.post("/api/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [inner["id"]]}}}).json
    reference["block_schema_checksum"] = stored["checksum"]
    assert schema["fields"]["block_schema_references"] == {"held": reference}
    assert schema["fields"]["definitions"] == {"Inner": nested | {"block_schema_references": {}}}
    assert client.get(f"/api/block_schemas/{schema['id']}").json == schema


def test_a_schema_with_a_nested_block_of_an_unknown_type_is_refused_and_not_half_stored(client):
    block_type = make_type(client)
    reference = {"block_type_slug": "nobody", "block_schema_checksum": "x"}
    body = {"fields": {"block_schema_references": {"held": reference}}, "block_type_id": block_type["id"]}
    assert client.post("/api/block_schemas/", json=body).status_code == 409
    found = client.post("/api/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [block_type["id"]]}}})
    assert found.json == []
    assert client.post("/api/block_schemas/", json=body | {"block_type_id": NOBODY}).status_code == 404


@pytest.mark.parametrize(
    "references", [{"held": 5}, {"held": {}}, [], {"held": {"block_type_slug": 5, "block_schema_checksum": ""}}]
)
def test_references_that_are_none_are_refused(client, references):
    body = {"fields": {"title": "x", "block_schema_references": references}, "block_type_id": make_type(client)["id"]}
    answer = client.post("/api/block_schemas/", json=body)
    assert references == [] or problems(answer) == ["body.fields.block_schema_references"]
    assert answer.status_code == (201 if references == [] else 422)


def test_capabilities_of_all_schemas_are_listed_once(client):
    word = unique("can")
    for _ in range(2):
        make_schema(client, make_type(client), [word])
    assert client.get("/api/block_capabilities/").json.count(word) == 1


def test_secrets_are_shown_only_when_asked_for(client, schema):
    document = make_document(client, schema, data=SECRETS)
    assert document["data"] == SHOWN
    assert read(client, document) == document
    assert read(client, document, secrets=True) == document | {"data": SECRETS}
    slug = document["block_type"]["slug"]
    for path in ("block_documents", f"block_documents/name/{document['name']}"):
        found = client.get(f"/api/block_types/slug/{slug}/{path}").json
        assert (found[0] if isinstance(found, list) else found) == document
    listed = {"block_documents": {"id": {"any_": [document["id"]]}}}
    for secrets, data in ((False, SHOWN), (True, SECRETS)):
        [found] = client.post("/api/block_documents/filter", json=listed | {"include_secrets": secrets}).json
        assert found["data"] == data
    assert "query.include_secrets" in problems(client.get(f"/api/block_documents/{document['id']}?include_secrets=perhaps"))


def test_no_secret_is_in_the_database_as_it_is(client, schema, module_database):
    document = make_document(client, schema, data={"password": "hush-hush"})
    with connect(module_database) as conn:
        stored = conn.execute("SELECT data FROM block_document WHERE id = %s", (document["id"],)).fetchone()[0]
        key = conn.execute("SELECT value ->> 'fernet_key' FROM configuration WHERE key = 'ENCRYPTION_KEY'").fetchone()[0]
        events = conn.execute("SELECT string_agg(payload::text, ' ') FROM events").fetchone()[0]
    assert isinstance(stored, str) and "hush" not in stored + events
    assert orjson.loads(Fernet(key).decrypt(stored)) == {"password": "hush-hush"}


def test_the_key_of_the_environment_comes_first_and_another_cannot_read_what_it_wrote(client, schema, monkeypatch):
    monkeypatch.setenv("PREFECT_SERVER_ENCRYPTION_KEY", Fernet.generate_key().decode())
    document = make_document(client, schema, data=SECRETS)
    assert read(client, document, secrets=True)["data"] == SECRETS
    monkeypatch.delenv("PREFECT_SERVER_ENCRYPTION_KEY")
    assert client.get(f"/api/block_documents/{document['id']}").status_code == 409
    assert client.delete(f"/api/block_types/{document['block_type_id']}").status_code == 204


def test_stars_in_the_place_of_a_secret_leave_it_as_it_is(client, schema):
    document = make_document(client, schema, data=SECRETS)
    change(client, document, SHOWN | {"open": "other"})
    assert read(client, document, secrets=True)["data"] == SECRETS | {"open": "other"}
    change(client, document, {"password": "new", "all": {"a": HIDDEN}})
    assert read(client, document, secrets=True)["data"] == SECRETS | {"open": "other", "password": "new", "all": {"a": "b"}}


def test_values_are_merged_unless_they_are_not_to_be(client, schema):
    document = make_document(client, schema, data={"a": 1, "b": {"c": 1}})
    change(client, document, {"b": {"d": 2}})
    assert read(client, document)["data"] == {"a": 1, "b": {"d": 2}}
    change(client, document, {"e": 3}, merge_existing_data=False)
    assert read(client, document)["data"] == {"e": 3}
    assert client.patch(f"/api/block_documents/{document['id']}", json={}).status_code == 204
    assert read(client, document)["data"] == {"e": 3}


def test_a_block_shows_the_blocks_inside_it_with_their_secrets_hidden(client, schema):
    inner = make_document(client, schema, data=SECRETS)
    outer = make_document(client, schema, data={"held": inside(inner), "x": 1})
    assert outer["data"] == {"held": SHOWN, "x": 1}
    told = {key: inner[key] for key in ("id", "name", "block_type", "is_anonymous", "block_document_references")}
    assert outer["block_document_references"] == {"held": {"block_document": told}}
    assert read(client, outer, secrets=True)["data"] == {"held": SECRETS, "x": 1}
    change(client, outer, {"x": 2})
    assert (read(client, outer)["data"], read(client, outer)["block_document_references"]) == ({"x": 2}, {})


def test_a_block_is_never_inside_itself(client, schema):
    inner = make_document(client, schema)
    outer = make_document(client, schema, data={"held": inside(inner)})
    for block in (inner, outer):
        answer = client.patch(f"/api/block_documents/{inner['id']}", json={"data": {"held": inside(block)}})
        assert answer.status_code == 400
    assert read(client, inner) == inner


def test_blocks_that_double_with_every_level_are_refused_before_they_cost_anything(client, schema):
    block = make_document(client, schema, data={"x": "y"})
    for _ in range(6):
        block = make_document(client, schema, data={"one": inside(block), "two": inside(block)})
    body = {"name": unique("block"), "block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    data = {"one": inside(block), "two": inside(block)}
    assert "200" in told(client.post("/api/block_documents/", json={**body, "data": data}), 400)
    other = make_document(client, schema)
    assert "200" in told(client.patch(f"/api/block_documents/{other['id']}", json={"data": data}), 400)
    assert read(client, other) == other


def test_blocks_that_hold_too_much_since_another_has_changed_are_shown_alone(client, schema):
    inner = make_document(client, schema)
    outer = make_document(client, schema, data={f"f{number}": inside(inner) for number in range(150)} | {"x": "y"})
    assert len(read(client, outer)["data"]) == 151
    change(client, inner, {"held": inside(make_document(client, schema))})
    assert read(client, outer)["data"] == {"x": "y"}
    assert set(read(client, inner)["data"]) == {"held"}


def test_blocks_in_one_another_are_bounded_in_levels(client, schema):
    block = make_document(client, schema, data={"x": nested_list(190)})
    for _ in range(40):
        block = make_document(client, schema, data={"held": inside(block)})
    body = {"name": unique("block"), "block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    assert "40" in told(client.post("/api/block_documents/", json={**body, "data": {"held": inside(block)}}), 400)
    listed = client.post("/api/block_documents/filter", json={"block_documents": {"id": {"any_": [block["id"]]}}})
    assert listed.status_code == 200 and listed.json == [read(client, block)]


def nested_list(levels: int) -> list:
    """Give lists in one another."""
    value: list = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_schemas_that_double_with_every_level_are_refused_before_they_cost_anything(client):
    slug = make_type(client)["slug"]
    type_id = client.get(f"/api/block_types/slug/{slug}").json["id"]
    fields: dict = {"title": unique("Block")}
    for _ in range(6):
        checksum = created(client, "block_schemas", fields=fields, block_type_id=type_id)["checksum"]
        reference = {"block_type_slug": slug, "block_schema_checksum": checksum}
        fields = {"title": unique("Block"), "block_schema_references": {"one": reference, "two": reference}}
    for _ in range(2):
        answer = client.post("/api/block_schemas/", json={"fields": fields, "block_type_id": type_id})
        if answer.status_code == 400:
            break
        reference = {"block_type_slug": slug, "block_schema_checksum": answer.json["checksum"]}
        fields = {"title": unique("Block"), "block_schema_references": {"one": reference, "two": reference}}
    assert "200" in told(answer, 400)


def test_a_schema_of_definitions_in_one_another_is_bounded_in_levels(client):
    slug = make_type(client)["slug"]
    type_id = client.get(f"/api/block_types/slug/{slug}").json["id"]

    def field(number: int) -> dict:
        reference = {"block_type_slug": slug, "block_schema_checksum": f"sha256:{number}"}
        return {"properties": {"x": {"$ref": f"#/definitions/{number}"}}, "block_schema_references": {"x": reference}}

    definitions = {
        str(number): {"title": f"{slug} {number}", "block_type_slug": slug} | field(number + 1) for number in range(1000)
    }
    body = {"fields": {"title": slug, "definitions": definitions} | field(0), "block_type_id": type_id}
    assert "40" in told(client.post("/api/block_schemas/", json=body), 400)


def test_a_reference_to_no_block_is_refused(client, schema):
    ids = {"block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    for reference in ({"$ref": {}}, {"$ref": 5}, {"$ref": {"block_document_id": "x"}}):
        body = {"name": unique("block"), "data": {"held": reference}, **ids}
        assert "'held'" in told(client.post("/api/block_documents/", json=body), 400)
        present = make_document(client, schema)
        answer = client.patch(f"/api/block_documents/{present['id']}", json={"data": {"held": reference}})
        assert "'held'" in told(answer, 400)
        assert read(client, present) == present
    body = {"name": unique("block"), "data": {"held": inside({"id": NOBODY})}, **ids}
    assert client.post("/api/block_documents/", json=body).status_code == 409


def test_a_name_is_taken_only_once_within_a_type(client, schema):
    document = make_document(client, schema)
    ids = {"block_schema_id": schema["id"], "block_type_id": schema["block_type_id"]}
    assert client.post("/api/block_documents/", json={"name": document["name"], **ids}).status_code == 409
    for name in (None, "", "Upper", "a_b"):
        assert problems(client.post("/api/block_documents/", json={"name": name, **ids})) == ["body.name"]
    other = make_schema(client, make_type(client))
    make_document(client, other, name=document["name"])


def test_anonymous_blocks_are_named_by_the_server_and_not_listed(client, schema):
    named, hidden = make_document(client, schema), make_document(client, schema, name=None, is_anonymous=True)
    assert hidden["name"].startswith("anonymous-")
    ours = {"block_type_id": {"any_": [schema["block_type_id"]]}}

    def find(**criteria) -> list[str]:
        body = {"block_documents": {**ours, **criteria}}
        found = client.post("/api/block_documents/filter", json=body).json
        assert client.post("/api/block_documents/count", json=body).json == len(found)
        return [document["id"] for document in found]

    assert find() == [named["id"]]
    assert find(is_anonymous={"eq_": True}) == [hidden["id"]]
    assert sorted(find(is_anonymous=None)) == sorted([named["id"], hidden["id"]])
    assert client.get(f"/api/block_types/slug/{named['block_type']['slug']}/block_documents").json == [named]
    assert events_of(client, "block-document", hidden) == []


def test_a_document_moves_only_to_a_schema_of_its_type(client, schema):
    document = make_document(client, schema, data={"a": 1})
    newer = make_schema(client, {"id": schema["block_type_id"]})
    change(client, document, {}, block_schema_id=newer["id"])
    assert read(client, document)["block_schema"] == newer
    for other, status in ((make_schema(client, make_type(client))["id"], 400), (NOBODY, 404)):
        body = {"data": {}, "block_schema_id": other}
        assert client.patch(f"/api/block_documents/{document['id']}", json=body).status_code == status
    assert read(client, document)["block_schema"] == newer


def test_what_happens_to_a_document_is_recorded_without_its_secrets(client, schema):
    document = make_document(client, schema, data=SECRETS)
    change(client, document, {"open": "other"})
    client.delete(f"/api/block_documents/{document['id']}")
    recorded = events_of(client, "block-document", document)
    assert [event["event"] for event in recorded] == [
        f"prefect.block-document.{verb}" for verb in ("created", "updated", "deleted")
    ]
    assert [event["payload"]["data"] for event in recorded] == [{"open": "word"}, {"open": "other"}, {"open": "other"}]
    block_type = {"id": document["block_type_id"], "name": document["block_type_name"]}
    assert recorded[0]["payload"]["block_schema"] == {"capabilities": ["write-path"], "block_type": block_type}
    assert [one["prefect.resource.role"] for one in recorded[0]["related"]] == ["block-type", "block-schema"]


@pytest.mark.parametrize("kind", ["block_documents", "block_schemas", "block_types"])
def test_the_default_storage_goes_with_its_block(client, schema, kind):
    document = make_document(client, schema)
    client.put("/api/admin/storage", json={"default_result_storage_block_id": document["id"]})
    other = make_document(client, schema)
    client.delete(f"/api/block_documents/{other['id']}")
    assert client.get("/api/admin/storage").json == {"default_result_storage_block_id": document["id"]}
    ids = {"block_documents": document["id"], "block_schemas": schema["id"], "block_types": schema["block_type_id"]}
    assert client.delete(f"/api/{kind}/{ids[kind]}").status_code == 204
    assert client.get("/api/admin/storage").json == {"default_result_storage_block_id": None}
    assert client.get(f"/api/block_documents/{document['id']}").status_code == 404
