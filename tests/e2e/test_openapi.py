# SPDX-License-Identifier: Apache-2.0
"""docs/openapi.yaml says what the observer does: checked against its answers and its code."""
import os
import re

import pytest

from conftest import ROOT

jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")
yaml = pytest.importorskip("yaml", reason="python3-yaml is not installed")


@pytest.fixture(scope="module")
def description():
    with open(os.path.join(ROOT, "docs/openapi.yaml")) as file:
        return yaml.safe_load(file)


@pytest.fixture
def shop(observe, child):
    observer = observe("--share", "all", sources=[
        f"pid:shop/web={child('sleep', 600).pid}", f"pid:shop/worker={child('sleep', 600).pid}"])
    observer.ticks(3)
    return observer


def resolve(description, node):
    while "$ref" in node:
        target = description
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def check(description, path, answer):
    """The answer's status is described for that path, and its body fits the schema."""
    responses = description["paths"][path]["get"]["responses"]
    assert str(answer.status) in responses, f"{path} {answer.status}"
    response = resolve(description, responses[str(answer.status)])
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in response["content"], f"{path} {kind}"
    if kind == "application/json":
        schema = dict(response["content"][kind]["schema"], components=description["components"])
        jsonschema.Draft202012Validator(schema).validate(answer.json)


@pytest.mark.parametrize("path, target", [
    ("/api/v1/tasks", "/api/v1/tasks"),
    ("/api/v1/tasks", "/api/v1/tasks?at=-1s"),
    ("/api/v1/tasks", "/api/v1/tasks?at=1970-01-02T00:00:00Z"),
    ("/api/v1/tasks", "/api/v1/tasks?at=nonsense"),
    ("/api/v1/tasks", "/api/v1/tasks?metrics=rss_bytes,cpu_rate"),
    ("/api/v1/tasks", "/api/v1/tasks?metrics=nonsense"),
    ("/api/v1/tasks/{task}", "/api/v1/tasks/shop"),
    ("/api/v1/tasks/{task}", "/api/v1/tasks/shop?at=-1s&pids=1"),
    ("/api/v1/tasks/{task}", "/api/v1/tasks/nonsense"),
    ("/api/v1/tasks/{task}", "/api/v1/tasks/shop?pids=2"),
    ("/api/v1/tasks/{task}/history", "/api/v1/tasks/shop/history"),
    ("/api/v1/tasks/{task}/history", "/api/v1/tasks/shop/history?rate=1&step=1s&process=web"),
    ("/api/v1/tasks/{task}/history", "/api/v1/tasks/nonsense/history"),
    ("/api/v1/tasks/{task}/history", "/api/v1/tasks/shop/history?metrics=nonsense"),
    ("/api/v1/tasks/{task}/disk", "/api/v1/tasks/nonsense/disk"),
    ("/api/v1/tasks/{task}/disk", "/api/v1/tasks/shop/disk?depth=x"),
    ("/api/v1/tasks/{task}/deleted", "/api/v1/tasks/nonsense/deleted"),
    ("/api/v1/status", "/api/v1/status"),
    ("/healthz", "/healthz"),
    ("/metrics", "/metrics"),
    ("/", "/"),
    ("/j/task_ids", "/j/task_ids"),
    ("/j/task_id_count", "/j/task_id_count"),
    ("/j/task", "/j/task?task_id=shop"),
    ("/j/process/{task}", "/j/process/shop"),
    ("/j/processes", "/j/processes?task_ids=shop"),
])
def test_answers_are_as_described(description, shop, path, target):
    check(description, path, shop.ask(target))


def test_a_schema_that_did_not_fit_would_be_noticed(description, shop):
    answer = shop.ask("/api/v1/tasks")
    wrong = answer.json
    wrong["tasks"][0]["processes"][0]["rss_bytes"] = "many"
    schema = {"$ref": "#/components/schemas/Tasks", "components": description["components"]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(wrong)
    wrong = answer.json
    wrong["tasks"][0]["news"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(wrong)


def test_every_schema_is_one(description):
    for schema in description["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def routes():
    """Paths of the table of routes, as the description writes them."""
    with open(os.path.join(ROOT, "src/serve/request.c")) as file:
        text = file.read()
    for parts in re.findall(r"\[ROUTE_\w+\] = \{\"\w+\", \{([^}]*)\}", text):
        words = re.findall(r'"([^"]*)"', parts)
        yield "/" + "/".join("{task}" if word == "*" else word for word in words if word != "?")


def test_every_route_is_described_and_no_other(description):
    assert set(routes()) == set(description["paths"])


def test_every_parameter_is_described(description, shop):
    for path in ["/api/v1/tasks", "/api/v1/tasks/{task}", "/api/v1/tasks/{task}/history",
                 "/api/v1/tasks/{task}/disk"]:
        told = {resolve(description, parameter)["name"]
                for parameter in description["paths"][path]["get"]["parameters"]
                if resolve(description, parameter)["in"] == "query"}
        error = shop.ask(path.replace("{task}", "shop") + "?nonsense=1").json["error"]
        assert set(error.partition("it takes: ")[2].split(", ")) == told


def test_every_metric_is_described_in_the_words_of_the_table(description):
    with open(os.path.join(ROOT, "include/tally/metric.h")) as file:
        rows = re.findall(r'X\(\w+, "(\w+)".*?\\\n\t  "([^"]*)"\)', file.read())
    schemas = description["components"]["schemas"]
    told = {key: schema.get("description") for name in ("Figures", "TaskFigures", "Process")
            for key, schema in schemas[name]["properties"].items()}
    assert len(rows) >= 24
    for key, help_ in rows:
        assert told[key] == help_, key
