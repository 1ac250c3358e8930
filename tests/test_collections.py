"""The kinds of workers that clients may make work pools for."""

import pytest

from tests.packages import install

VIEW = "/api/collections/views/aggregate-worker-metadata"


def test_lists_kinds_of_workers_with_all_that_the_web_interface_needs_to_show_them(client):
    answer = client.get(VIEW)
    assert answer.status_code == 200
    kinds = [(package, kind, about) for package, kinds in answer.json.items() for kind, about in kinds.items()]
    assert {"process", "docker", "kubernetes", "ecs"} < {kind for _, kind, _ in kinds}
    for package, kind, about in kinds:
        assert about["type"] == kind
        assert about["display_name"] and about["description"] and about["logo_url"].startswith("data:image/svg+xml,")
        assert about["install_command"] == f"pip install {package}"


def test_a_pool_can_be_made_of_each_kind_and_waits_for_the_job_template_of_its_worker(client):
    for kinds in client.get(VIEW).json.values():
        for kind, about in kinds.items():
            template = about["default_base_job_configuration"]
            pool = client.post("/api/work_pools/", json={"name": f"of-{kind}", "type": kind, "base_job_template": template})
            assert (pool.status_code, pool.json["type"], pool.json["base_job_template"]) == (201, kind, {})


def test_with_the_files_of_the_web_interface_there_is_what_they_tell(client, tmp_path, monkeypatch):
    block_types = {"account": {"slug": "account"}}
    install(tmp_path, monkeypatch, block_types=block_types)
    assert client.get(VIEW).json == {"prefect": {"process": {"type": "process"}}}
    blocks = client.get("/api/collections/views/aggregate-block-metadata").json
    assert blocks == {"prefect-made-up": {"block_types": block_types}}


@pytest.mark.parametrize(
    ("view", "detail"),
    [
        ("demo-flows", "Requested content missing for view demo-flows"),
        ("aggregate-flow-metadata", "Requested content missing for view aggregate-flow-metadata"),
        ("aggregate-block-metadata", "Requested content missing for view aggregate-block-metadata"),
        ("other", "View other not found in registry"),
        ("..%2fcollection_blocks_data", None),
    ],
)
def test_other_views_do_not_exist(client, view, detail):
    answer = client.get(f"/api/collections/views/{view}")
    assert answer.status_code == 404
    assert detail in (answer.json["detail"], None)
