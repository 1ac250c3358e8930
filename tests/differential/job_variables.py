"""Sequences about job variables of work pools whose defaults are blocks."""

from typing import Any

from tests.differential import Step
from tests.differential.deployments import create, run_of, update
from tests.differential.steps import create_flow
from tests.differential.work_pools import create_pool

BLOCK = [
    Step("POST", "/block_types/", {"name": "T {unique}", "slug": "t-{unique}"}, save="type"),
    Step(
        "POST",
        "/block_schemas/",
        {
            "fields": {"title": "T{unique}", "type": "object", "properties": {"value": {"type": "string"}}},
            "block_type_id": "{type.id}",
        },
        save="schema",
        ignore=("checksum",),
    ),
    Step(
        "POST",
        "/block_documents/",
        {"name": "b-{unique}", "data": {"value": "v"}, "block_schema_id": "{schema.id}", "block_type_id": "{type.id}"},
        save="block",
        ignore=("checksum",),
    ),
]
IS, MISSING = {"$ref": {"block_document_id": "{block.id}"}}, {"$ref": {"block_document_id": "{uuid.none}"}}
# The variable that a block may be, and the variables that are required.
FIELDS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "object": ({"type": "object", "default": IS}, []),
    "required": ({"type": "object", "default": IS}, ["v"]),
    "anything": ({"default": IS}, []),
    "other_fields": ({"type": "object", "required": ["other"], "default": IS}, ["v"]),
    "other_types": ({"type": "object", "properties": {"value": {"type": "integer"}}, "default": IS}, []),
    "text": ({"type": "string", "default": IS}, []),
    "missing": ({"type": "object", "default": MISSING}, []),
    "no_block": ({"default": {"$ref": {}}}, []),
    "no_id": ({"default": {"$ref": {"block_document_id": "x"}}}, []),
}


def template(field: dict[str, Any], required: list[str]) -> dict[str, Any]:
    """Give a template with this variable and a number."""
    properties = {"v": field, "size": {"type": "integer"}}
    return {
        "job_configuration": {"a": "{{ v }}", "b": "{{ size }}"},
        "variables": {"type": "object", "required": required, "properties": properties},
    }


def use(name: str, field: dict[str, Any], required: list[str]) -> list[Step]:
    """Make a pool of the template, put it into one that is there, and deploy and run with variables of all kinds."""
    pool = {"work_pool_name": "pool-{unique}"}
    return [
        *BLOCK,
        create_flow(),
        create_pool("refused-{unique}", base_job_template=template(field, required)),
        create_pool(),
        Step("PATCH", "/work_pools/pool-{unique}", {"base_job_template": template(field, required)}),
        create(**pool),
        *(run_of(job_variables=own) for own in ({}, {"size": 2}, {"v": None}, {"v": {"value": "w"}}, {"v": "s"})),
        *(
            create(f"made{number}", f"d-{number}-{{unique}}", **pool, job_variables=own)
            for number, own in enumerate(({"size": 1}, {"size": "x"}, {"v": {"a": 1}}, {"v": "s"}, {"v": None}))
        ),
        *(update(**pool, job_variables=own) for own in ({"size": "x"}, {"size": None}, {"v": None}, {"v": {"a": 1}})),
        run_of(),
    ]


SEQUENCES = {name: use(name, field, required) for name, (field, required) in FIELDS.items()}
