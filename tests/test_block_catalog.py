"""The block types that are there from the start."""

import pytest

from handlers.domain.block_catalog import OWN, catalog, install_block_types
from handlers.domain.block_schemas import checksum
from sql.database import connect
from sql.statement import flush
from tests.downbeat_server import running
from tests.packages import install

FIELDS = {"title": "Account", "type": "object", "block_type_slug": "account", "block_schema_references": {}, "properties": {}}
NESTING = {
    "title": "Storage",
    "type": "object",
    "block_type_slug": "storage",
    "properties": {"account": {"$ref": "#/definitions/Account"}},
    "block_schema_references": {"account": {"block_type_slug": "account", "block_schema_checksum": checksum(FIELDS)}},
    "definitions": {"Account": FIELDS},
}


def block_type(slug: str, fields: dict, **others) -> dict:
    """Give a block type as the package has it."""
    schema = {"checksum": checksum(fields), "fields": fields, "capabilities": ["read-path"], "version": "0.1"}
    texts = {"description": "Keeps <b> & 'c'.", "code_example": "a < b"}
    return {
        "name": slug.title(),
        "slug": slug,
        "logo_url": None,
        "documentation_url": None,
        **texts,
        **others,
        "block_schema": schema,
    }


@pytest.fixture
def integration(tmp_path, monkeypatch) -> None:
    """An integration with two block types, the first of which holds the second."""
    install(
        tmp_path,
        monkeypatch,
        block_types={each["slug"]: each for each in (block_type("storage", NESTING), block_type("account", FIELDS))},
    )


def read_types(conn) -> dict[str, tuple]:
    """Give what is stored of each block type, with the versions of its schemas."""
    flush(conn)
    rows = conn.execute(
        "SELECT slug, description, code_example, is_protected, array_agg(version) FROM block_type"
        "  JOIN block_schema ON block_schema.block_type_id = block_type.id GROUP BY block_type.id"
    )
    return {slug: others for slug, *others in rows}


def test_the_checksums_of_own_types_are_those_of_the_client():
    assert len(OWN) == 14
    for each in OWN.values():
        assert checksum(each["block_schema"]["fields"]) == each["block_schema"]["checksum"]


def test_all_types_are_there_once_however_often_they_are_installed(conn, integration):
    for _ in range(2):
        install_block_types(conn, catalog())
        found = read_types(conn)
        assert found.keys() == {*OWN, "storage", "account"}
        assert {slug for slug, about in found.items() if about[2]} == {"webhook", "secret", "local-file-system"}
        assert found["account"] == ["Keeps &lt;b&gt; &amp; 'c'.", "a &lt; b", False, ["0.1"]]
        assert found["secret"][3] == ["3.8.3"]
        assert conn.execute("SELECT count(*) FROM block_schema_reference").fetchone() == (1,)


def test_what_others_made_of_a_type_stays(conn):
    protect = "UPDATE block_type SET description = 'Mine', is_protected = FALSE WHERE slug IN ('secret', 'smb')"
    install_block_types(conn, catalog())
    conn.execute(protect)
    conn.execute("DELETE FROM block_schema WHERE block_type_id = (SELECT id FROM block_type WHERE slug = 'secret')")
    install_block_types(conn, catalog())
    found = read_types(conn)
    assert found["secret"] == ["Mine", None, True, ["3.8.3"]]
    assert found["smb"][:3] == ["Mine", None, False]


def test_the_protected_types_are_installed_on_demand(client):
    for _ in range(2):
        answer = client.post("/api/block_types/install_system_block_types")
        assert (answer.status_code, answer.json) == (200, None)
        listed = client.post("/api/block_types/filter", json={}).json
        assert [each["slug"] for each in listed if each["is_protected"]] == ["local-file-system", "secret", "webhook"]
    schema = OWN["secret"]["block_schema"]
    found = client.get(f"/api/block_schemas/checksum/{schema['checksum']}?version=3.8.3").json
    assert (found["checksum"], found["capabilities"], found["block_type"]["slug"]) == (schema["checksum"], [], "secret")


@pytest.mark.parametrize(("setting", "number"), [("true", 14), ("false", 0)])
def test_a_server_installs_them_when_it_starts_unless_it_is_not_to(database, setting, number):
    with running(database, PREFECT_SERVER_REGISTER_BLOCKS_ON_START=setting), connect(database) as conn:
        assert conn.execute("SELECT count(*) FROM block_type").fetchone() == (number,)
