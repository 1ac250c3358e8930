"""Sequences about block types, block schemas and block documents."""

from handlers.domain.block_catalog import OWN
from tests.differential import Step

TYPE_TEXTS = {"description": "a < b & 'c'", "code_example": "```python\nx > 1\n```", "logo_url": " https://x.y/z.png "}


def create_type(save: str = "type", slug: str = "type-{unique}", **fields) -> Step:
    """Make a block type."""
    return Step("POST", "/block_types/", {"name": f"Name {slug}", "slug": slug} | fields, save=save)


def create_schema(save: str = "schema", type: str = "type", title: str = "Title", version: str = "{unique}", **fields) -> Step:
    """Make a block schema whose version nobody else has."""
    body = {
        "fields": {"title": title, "type": "object"} | fields,
        "block_type_id": f"{{{type}.id}}",
        "capabilities": ["read-path"],
    }
    # Prefect echoes the definitions that it was sent; read again, those that nothing refers to are gone.
    return Step("POST", "/block_schemas/", body | {"version": version}, save=save, ignore=("definitions",))


def without_checksums(steps: list[Step]) -> list[Step]:
    """Compare all but the checksums of schemas, where these have the server's unique word in them."""
    return [step._replace(ignore=(*step.ignore, "checksum", "block_schema_checksum")) for step in steps]


def create_document(
    save: str = "document", name: str | None = "doc-{unique}", schema: str = "schema", type: str = "type", **fields
):
    """Make a block document."""
    body = {"name": name, "block_schema_id": f"{{{schema}.id}}", "block_type_id": f"{{{type}.id}}"}
    return Step("POST", "/block_documents/", body | fields, save=save)


def read(*documents: str) -> list[Step]:
    """Read documents with and without their secrets."""
    return [
        Step("GET", f"/block_documents/{{{document}.id}}{query}", save=f"{document}_now")
        for document in documents
        for query in ("", "?include_secrets=true")
    ]


SECRETS = {"secret_fields": ["password", "whole", "deep.key", "all.*", "absent", "nothing", "list"]}
VALUES = {
    "password": "secret",
    "deep": {"key": 5, "open": "x"},
    "all": {"a": "b", "c": {"d": None, "e": {}}},
    "nothing": None,
    "list": [1],
    "whole": {"a": "b"},
    "open": "word",
}
REFERENCE = {"$ref": {"block_document_id": "{inner.id}"}}
NESTED = [
    create_type(),
    create_type("inner_type", "inner-{unique}"),
    create_schema("inner_schema", "inner_type", "Inner {unique}", secret_fields=["token"], block_type_slug="inner-{unique}"),
    create_schema(
        properties={"inner": {"$ref": "#/definitions/Inner {unique}"}, "other": {"$ref": "#/definitions/Plain"}},
        definitions={"Inner {unique}": "{inner_schema.fields}", "Plain": {"type": "object", "title": "Plain"}, "Unused": {}},
        block_schema_references={
            "inner": {"block_type_slug": "inner-{unique}", "block_schema_checksum": "{inner_schema.checksum}"}
        },
        secret_fields=["inner.token"],
    ),
]
INNER = [
    *NESTED,
    create_document("inner", "inner-{unique}", "inner_schema", "inner_type", data={"token": "t", "n": {"a": 1}}),
    create_document("outer", "outer-{unique}", data={"inner": REFERENCE, "x": 1}),
]
THREE = [
    create_type(),
    create_type("other_type", "other-{unique}"),
    create_schema(),
    create_schema("other_schema", "other_type", "Other", version="2-{unique}"),
    create_document("one", "a-{unique}", data={"a": 1}),
    create_document("two", "c-{unique}"),
    create_document("three", "b-{unique}", "other_schema", "other_type"),
    create_document("hidden", None, is_anonymous=True)._replace(ignore=("name",)),
]
OURS = {"block_type_id": {"any_": ["{type.id}", "{other_type.id}"]}}


def search(verb: str = "filter", **body) -> Step:
    """Ask for the documents that match; the names of anonymous ones are made up."""
    return Step("POST", f"/block_documents/{verb}", body)


UNLIKE = ("created", "updated", "code_example", "capabilities")

SEQUENCES = {
    "types": [
        create_type(**TYPE_TEXTS),
        create_type("again"),
        create_type("second", "second-{unique}"),
        Step("GET", "/block_types/{type.id}"),
        Step("GET", "/block_types/slug/type-{unique}"),
        Step("GET", "/block_types/slug/none-{unique}"),
        Step("PATCH", "/block_types/{type.id}", {"description": "d < e", "logo_url": None}),
        Step("GET", "/block_types/{type.id}"),
        Step("PATCH", "/block_types/{type.id}", {"description": "d &lt; e"}),
        Step("PATCH", "/block_types/{type.id}", {}),
        Step("PATCH", "/block_types/{uuid.none}", {}),
        *(
            Step("POST", "/block_types/filter", body)
            for body in (
                {"block_types": {"slug": {"any_": ["type-{unique}", "second-{unique}"]}}},
                {"block_types": {"name": {"like_": "TYPE-{unique}"}}},
                {"block_types": {"name": {"like_": "{unique}"}, "slug": {}}, "limit": 1, "offset": 1},
                {"block_types": {"slug": {"any_": []}}},
                {"block_types": {"name": {"like_": "{unique}"}}, "block_schemas": {"block_capabilities": {"all_": ["x"]}}},
                {"block_types": {"operator": "and_"}},
                {"limit": 201},
            )
        ),
        Step("DELETE", "/block_types/{second.id}"),
        Step("DELETE", "/block_types/{second.id}"),
        Step("GET", "/block_types/{second.id}"),
    ],
    "types_refused": [
        *(create_type(slug=slug) for slug in ("A-{unique}", "a_b-{unique}", "a b", "é")),
        create_type(name="Prefect {unique}"),
        create_type(name="prefect"),
        *(create_type(name=name) for name in ("a/b", "", None, 5)),
        create_type(unknown=1),
        create_type(description=5),
        Step("POST", "/block_types/", {}),
        create_type(),
        Step("PATCH", "/block_types/{type.id}", {"name": "x"}),
        Step("PATCH", "/block_types/{type.id}", {"description": 5}),
        Step("GET", "/block_types/not-an-id"),
    ],
    "protected_types": [
        create_type(),
        create_schema(),
        Step("SQL", "UPDATE block_type SET is_protected = true WHERE slug = 'type-{unique}'"),
        Step("GET", "/block_types/{type.id}"),
        Step("DELETE", "/block_types/{type.id}"),
        Step("DELETE", "/block_schemas/{schema.id}"),
        Step("PATCH", "/block_types/{type.id}", {"description": "other"}),
        Step("GET", "/block_types/{type.id}"),
        Step("SQL", "UPDATE block_type SET is_protected = false WHERE slug = 'type-{unique}'"),
        Step("DELETE", "/block_types/{type.id}"),
        Step("GET", "/block_schemas/{schema.id}"),
    ],
    "schemas": [
        create_type(),
        create_schema(secret_fields=["a"]),
        create_schema("again", secret_fields=["b"]),
        create_schema("newer", version="1-{unique}"),
        create_schema("other", title="Other", properties={"é": {"default": 1.50, "x": [1, None, True]}}),
        Step("GET", "/block_schemas/{schema.id}"),
        Step("GET", "/block_schemas/checksum/{schema.checksum}"),
        Step("GET", "/block_schemas/checksum/{schema.checksum}?version={unique}"),
        Step("GET", "/block_schemas/checksum/{schema.checksum}?version=7"),
        Step("GET", "/block_schemas/checksum/none"),
        *(
            Step("POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": ["{type.id}"]}} | criteria} | page)
            for criteria, page in (
                ({}, {}),
                ({"version": {"any_": ["1-{unique}"]}}, {}),
                ({"id": {"any_": ["{schema.id}"]}}, {}),
                ({"block_capabilities": {"all_": ["read-path"]}}, {"limit": 1}),
                ({"block_capabilities": {"all_": ["write-path"]}}, {}),
                ({"operator": "or_", "version": {"any_": []}}, {"offset": 1}),
            )
        ),
        Step("DELETE", "/block_schemas/{newer.id}"),
        Step("DELETE", "/block_schemas/{newer.id}"),
        Step("GET", "/block_schemas/{newer.id}"),
    ],
    "nested_schemas": without_checksums(
        [
            *NESTED,
            Step("GET", "/block_schemas/{schema.id}"),
            Step("GET", "/block_schemas/checksum/{schema.checksum}"),
            Step(
                "POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": ["{type.id}", "{inner_type.id}"]}}}
            ),
            create_schema(
                "union",
                title="union {unique}",
                properties={"one": {"anyOf": [{"$ref": "#/definitions/Inner {unique}"}, {"$ref": "#/definitions/New {unique}"}]}},
                definitions={
                    "Inner {unique}": "{inner_schema.fields}",
                    "New {unique}": {"title": "New {unique}", "type": "object", "block_type_slug": "type-{unique}"},
                },
                block_schema_references={
                    "one": [
                        {"block_type_slug": "inner-{unique}", "block_schema_checksum": "{inner_schema.checksum}"},
                        {"block_type_slug": "type-{unique}", "block_schema_checksum": "sha256:{unique}"},
                    ]
                },
            ),
            Step("GET", "/block_schemas/{union.id}"),
            Step("POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": ["{type.id}"]}}}),
        ]
    ),
    "schemas_refused": [
        create_type(),
        *(
            Step("POST", "/block_schemas/", body)
            for body in (
                {},
                {"block_type_id": "{uuid.none}"},
                {"block_type_id": "{type.id}", "fields": []},
                {"block_type_id": "{type.id}", "capabilities": [1]},
                {"block_type_id": "{type.id}", "version": 5},
                {"block_type_id": "{type.id}", "unknown": 5},
            )
        ),
        create_schema(block_schema_references={"x": {"block_type_slug": "none-{unique}", "block_schema_checksum": "x"}}),
        create_schema(block_schema_references={"x": {"block_type_slug": "type-{unique}", "block_schema_checksum": "x"}}),
        create_schema(title="7", block_schema_references={"x": 5}),
        Step("POST", "/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": ["{type.id}"]}}}),
    ],
    "documents": [
        create_type(),
        create_schema(**SECRETS),
        create_document(data=VALUES),
        *read("document"),
        create_document("again"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents?include_secrets=true"),
        Step("GET", "/block_types/slug/none-{unique}/block_documents"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents/name/doc-{unique}"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents/name/doc-{unique}?include_secrets=1"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents/name/none"),
        Step("GET", "/block_types/slug/none/block_documents/name/doc-{unique}"),
        Step("GET", "/block_documents/{document.id}?include_secrets=perhaps"),
        Step("SQL", "SELECT jsonb_typeof(data), left(data #>> '{{}}', 5) FROM block_document WHERE name = 'doc-{unique}'"),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"open": "other", "password": "********"}}),
        *read("document"),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"password": "new", "deep": {"key": "********", "open": "y"}}}),
        *read("document"),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"all": {"a": "********", "c": {"d": "z"}}}}),
        *read("document"),
        Step("PATCH", "/block_documents/{document.id}", {}),
        *read("document"),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"password": "********"}, "merge_existing_data": False}),
        *read("document"),
        Step("PATCH", "/block_documents/{document.id}", {"merge_existing_data": False}),
        *read("document"),
        Step("DELETE", "/block_documents/{document.id}"),
        Step("DELETE", "/block_documents/{document.id}"),
        Step("PATCH", "/block_documents/{document.id}", {"data": {}}),
        *read("document"),
    ],
    "nested_documents": without_checksums(
        [
            *INNER,
            *read("outer", "inner"),
            Step("GET", "/block_types/slug/type-{unique}/block_documents"),
            Step("PATCH", "/block_documents/{outer.id}", {"data": {"x": 2}}),
            *read("outer"),
            Step("PATCH", "/block_documents/{outer.id}", {"data": {"inner": REFERENCE, "second": REFERENCE}}),
            *read("outer"),
            Step("PATCH", "/block_documents/{inner.id}", {"data": {"back": {"$ref": {"block_document_id": "{outer.id}"}}}}),
            Step("PATCH", "/block_documents/{inner.id}", {"data": {"back": {"$ref": {"block_document_id": "{inner.id}"}}}}),
            *read("inner"),
            Step("DELETE", "/block_documents/{inner.id}"),
            *read("outer"),
        ]
    ),
    "documents_of_another_schema": [
        *THREE,
        create_schema("newer", title="Newer"),
        Step("PATCH", "/block_documents/{one.id}", {"block_schema_id": "{newer.id}", "data": {"b": 2}}),
        *read("one"),
        Step("PATCH", "/block_documents/{one.id}", {"block_schema_id": "{schema.id}"}),
        *read("one"),
        Step("PATCH", "/block_documents/{one.id}", {"block_schema_id": "{other_schema.id}", "data": {}}),
        Step("PATCH", "/block_documents/{one.id}", {"block_schema_id": "{uuid.none}", "data": {}}),
        Step("DELETE", "/block_schemas/{newer.id}"),
        *read("one"),
    ],
    "anonymous_documents": [
        *THREE,
        Step("GET", "/block_documents/{hidden.id}", ignore=("name",)),
        create_document("named", "named-{unique}", is_anonymous=True),
        create_document("again", "named-{unique}", is_anonymous=True),
        create_document("empty", "", is_anonymous=True)._replace(ignore=("name",)),
        Step("GET", "/block_types/slug/type-{unique}/block_documents"),
        Step("GET", "/block_types/slug/type-{unique}/block_documents/name/named-{unique}"),
    ],
    "filter_documents": [
        *THREE,
        *(
            search(verb, **({"sort": "BLOCK_TYPE_AND_NAME_ASC"} if verb == "filter" else {}), **body)
            for body in (
                {"block_documents": OURS},
                {"block_documents": OURS | {"is_anonymous": {"eq_": False}}},
                {"block_documents": OURS | {"is_anonymous": {"eq_": True}, "id": {"any_": ["{one.id}"]}}},
                {"block_documents": OURS | {"is_anonymous": None, "name": {"like_": "{unique}"}}},
                {"block_documents": OURS | {"is_anonymous": {}, "name": {"like_": "-{unique}"}}},
                {"block_documents": {"id": {"any_": ["{one.id}", "{hidden.id}"]}}},
                {"block_documents": {"id": {"any_": []}}},
                {"block_documents": {"name": {"any_": ["a-{unique}", "b-{unique}"]}}},
                {"block_documents": {"name": {"like_": "A-{unique}"}}},
                {"block_documents": {"operator": "or_", "id": {"any_": ["{one.id}"]}, "is_anonymous": None}},
                {"block_types": {"slug": {"any_": ["other-{unique}"]}}},
                {"block_types": {"name": {"like_": "TYPE-{unique}"}}, "block_documents": OURS},
                {"block_schemas": {"version": {"any_": ["2-{unique}"]}}, "block_documents": OURS},
                {"block_schemas": {"block_capabilities": {"all_": ["read-path"]}}, "block_documents": OURS},
                {"block_schemas": {"id": {"any_": ["{schema.id}"]}}},
            )
            for verb in ("filter", "count")
        ),
        *(search(block_documents=OURS, sort=sort) for sort in ("NAME_ASC", "NAME_DESC", "CREATED_DESC")),
        *(
            search(block_documents=OURS, **page)
            for page in ({"limit": 1}, {"limit": 1, "offset": 1}, {"limit": 0}, {"limit": 201})
        ),
        search(block_documents=OURS, include_secrets=True),
        search(block_documents=OURS, include_secrets="perhaps"),
        search(block_documents={"unknown": 1}),
        Step("DELETE", "/block_types/{type.id}"),
        search("count", block_documents=OURS),
    ],
    "documents_refused": [
        create_type(),
        create_schema(),
        *(create_document(name=name) for name in (None, "", "A-{unique}", "a_b", "a/b", 5)),
        create_document(data=[]),
        create_document(unknown=1),
        create_document(is_anonymous="perhaps"),
        create_document(schema="none"),
        create_document(data={"x": {"$ref": {"block_document_id": None}}}),
        create_document(data={"x": {"$ref": {"block_document_id": "x"}}}),
        create_document(data={"x": {"$ref": {}}}),
        create_document(data={"x": {"$ref": {"block_document_id": "{uuid.none}"}}}),
        Step("POST", "/block_documents/", {}),
        create_document(),
        Step("PATCH", "/block_documents/{document.id}", {"name": "x"}),
        Step("PATCH", "/block_documents/{document.id}", {"data": []}),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"x": {"$ref": {}}}}),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"x": {"$ref": {"block_document_id": "x"}}}}),
        Step("PATCH", "/block_documents/{document.id}", {"data": {"x": {"$ref": {"block_document_id": "{uuid.none}"}}}}),
        Step("PATCH", "/block_documents/{document.id}", {"block_schema_id": "x"}),
        *read("document"),
    ],
    "default_storage": [
        create_type(),
        Step(
            "POST",
            "/block_schemas/",
            {"fields": {}, "block_type_id": "{type.id}", "capabilities": ["write-path"], "version": "{unique}"},
            save="schema",
        ),
        *(
            step
            for path in ("/block_documents/{document.id}", "/block_schemas/{schema.id}")
            for step in (
                create_document(),
                Step("PUT", "/admin/storage", {"default_result_storage_block_id": "{document.id}"}),
                Step("GET", "/admin/storage"),
                Step("DELETE", path),
                Step("GET", "/admin/storage"),
            )
        ),
    ],
    "system_types": [
        Step("POST", "/block_types/install_system_block_types"),
        *(
            step
            for slug in ("secret", "webhook", "local-file-system")
            for step in (
                # They are as old as the server. An example is code, which the client brings when it saves a block of the type;
                # what the schema can do is a set, in an order that differs from one start of Prefect's server to the next.
                Step("GET", f"/block_types/slug/{slug}", save="type", ignore=UNLIKE),
                Step("DELETE", "/block_types/{type.id}", ignore=("detail",)),
                Step(
                    "GET",
                    f"/block_schemas/checksum/{OWN[slug]['block_schema']['checksum']}?version=3.8.3",
                    ignore=UNLIKE,
                ),
            )
        ),
        Step("GET", "/collections/views/nothing"),
    ],
}
