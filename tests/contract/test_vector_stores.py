"""Vector stores, their files, batches and searches (contract sections 11.4 to 11.8), over plain HTTP."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from client import Answer, Client
from field_errors import (
    array_too_long, decimal_above, empty_array, integer_above, integer_below, missing, not_supported, too_long, unknown,
    wrong_type,
)  # fmt: skip
from routes import expect_error
from scenarios import POLL_TIMEOUT_S
from test_files import upload

AUTO = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
NO_FILES = {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
SCALAR = "one of a string or decimal or boolean"
NOWHERE = f"vs_{'0' * 32}"


def file(api: Client, name: str = "a.txt", content: bytes = b"All is well.") -> str:
    return upload(api, name, content).body["id"]


def store(api: Client, **fields: Any) -> str:
    return api.ok("POST", "/vector_stores", fields)["id"]


def settled(api: Client, path: str) -> dict[str, Any]:
    """An object once nothing of it is in progress."""
    deadline = time.monotonic() + POLL_TIMEOUT_S
    while True:
        found = api.ok("GET", path)
        if found["status"] != "in_progress":
            return found
        assert time.monotonic() < deadline, f"still in progress: {found}"


def filled(api: Client, *ids: str, **fields: Any) -> str:
    """The path of a store with these files, all of them looked at."""
    path = f"/vector_stores/{store(api, file_ids=list(ids), **fields)}"
    settled(api, path)
    return path


def ids_of(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["data"]]


def chunking(**static: Any) -> dict[str, Any]:
    return {"chunking_strategy": {"type": "static", "static": static}}


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": "eq", "key": "k", "value": 1}
    for _ in range(depth):
        inner = {"type": "and", "filters": [inner]}
    return inner


def test_a_store_has_every_field(api: Client) -> None:
    made = api.ok("POST", "/vector_stores", {})
    assert re.fullmatch("vs_[0-9a-f]{32}", made["id"])
    assert made == {
        "id": made["id"], "object": "vector_store", "created_at": made["created_at"], "name": None, "description": None,
        "usage_bytes": 0, "file_counts": NO_FILES, "status": "completed", "expires_after": None, "expires_at": None,
        "last_active_at": made["created_at"], "metadata": {},
    }  # fmt: skip
    assert api.ok("POST", "/vector_stores")["status"] == "completed", "no body is as good as an empty one"
    assert api.request("GET", f"/vector_stores/{made['id']}", headers={"openai-beta": None}).status == 200


def test_expiry_is_set_moved_and_removed(api: Client) -> None:
    made = api.ok("POST", "/vector_stores", {"expires_after": {"anchor": "last_active_at", "days": 3}})
    assert made["expires_at"] == made["last_active_at"] + 259_200
    path = f"/vector_stores/{made['id']}"
    longer = api.ok("POST", path, {"expires_after": {"anchor": "last_active_at", "days": 365}})
    assert longer["expires_at"] == longer["last_active_at"] + 365 * 86_400
    assert api.ok("POST", path, {"name": "kept"})["expires_at"] == longer["expires_at"]
    never = api.ok("POST", path, {"expires_after": None, "name": None})
    assert (never["expires_after"], never["expires_at"], never["name"]) == (None, None, None)


def test_metadata_is_replaced_as_a_whole(api: Client) -> None:
    path = f"/vector_stores/{store(api, metadata={'a': '1', 'b': '2'})}"
    assert api.ok("POST", path, {"metadata": {"c": "3"}})["metadata"] == {"c": "3"}
    assert api.ok("POST", path, {})["metadata"] == {"c": "3"}
    assert api.ok("POST", path, {"metadata": None})["metadata"] == {}


def test_deleting_a_store_leaves_its_files(api: Client) -> None:
    one = file(api)
    path = filled(api, one)
    name = path.rsplit("/", 1)[-1]
    assert api.ok("DELETE", path) == {"id": name, "object": "vector_store.deleted", "deleted": True}
    for answer in (api.get(path), api.delete(path), api.post(path, {}), api.get(f"{path}/files")):
        expect_error(answer, 404, f"No vector store found with id '{name}'.")
    assert api.ok("GET", f"/files/{one}")["id"] == one


def test_a_file_from_its_arrival_to_its_removal(api: Client) -> None:
    one, place = file(api, content=b"Nothing to see here."), f"/vector_stores/{store(api)}"
    put = api.ok("POST", f"{place}/files", {"file_id": one})
    assert put == {
        "id": one, "object": "vector_store.file", "usage_bytes": 0, "created_at": put["created_at"],
        "vector_store_id": place.rsplit("/", 1)[-1], "status": "in_progress", "last_error": None,
        "chunking_strategy": AUTO, "attributes": {},
    }  # fmt: skip
    done = settled(api, f"{place}/files/{one}")
    assert done == put | {"status": "completed", "usage_bytes": done["usage_bytes"]}
    assert done["usage_bytes"] > 0
    assert api.ok("GET", place)["file_counts"] == NO_FILES | {"completed": 1, "total": 1}
    assert api.ok("GET", f"{place}/files/{one}/content") == {
        "object": "vector_store.file_content.page", "has_more": False, "next_page": None,
        "data": [{"type": "text", "text": "Nothing to see here."}],
    }  # fmt: skip
    gone = api.ok("DELETE", f"{place}/files/{one}")
    assert gone == {"id": one, "object": "vector_store.file.deleted", "deleted": True}
    missing_in = f"No file found with id '{one}' in vector store '{place.rsplit('/', 1)[-1]}'."
    for answer in (
        api.get(f"{place}/files/{one}"),
        api.get(f"{place}/files/{one}/content"),
        api.post(f"{place}/files/{one}", {"attributes": {}}),
        api.delete(f"{place}/files/{one}"),
    ):
        expect_error(answer, 404, missing_in)
    assert api.ok("GET", place)["file_counts"] == NO_FILES


def test_the_chunks_are_as_large_as_was_asked_for(api: Client) -> None:
    one = file(api, content=b"word " * 1_000)
    place = filled(api, one, **chunking(max_chunk_size_tokens=100, chunk_overlap_tokens=0))
    shown = api.ok("GET", f"{place}/files/{one}")["chunking_strategy"]
    assert shown == {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}}
    found = api.ok("POST", f"{place}/search", {"query": "word", "max_num_results": 50})["data"]
    assert len(found) == 10
    assert all(len(result["content"][0]["text"].split()) <= 100 for result in found)


def test_a_file_that_can_not_be_read_fails_by_itself(api: Client) -> None:
    good, bad, empty = file(api), file(api, "a.pdf", b"%PDF-1.7 but not really"), file(api, "b.txt", b"")
    place = filled(api, good, bad, empty)
    assert api.ok("GET", place)["file_counts"] == NO_FILES | {"completed": 1, "failed": 2, "total": 3}
    for failed in api.ok("GET", f"{place}/files", query={"filter": "failed"})["data"]:
        assert set(failed["last_error"]) == {"code", "message"}
        assert failed["last_error"]["code"] in ("invalid_file", "unsupported_file")
        assert api.ok("GET", f"{place}/files/{failed['id']}/content")["data"] == []
    found = api.ok("POST", f"{place}/search", {"query": "All is well. PDF really"})["data"]
    assert [result["file_id"] for result in found] == [good]


def test_a_kind_of_file_that_is_not_read_is_named(api: Client) -> None:
    image, place = file(api, "a.png", b"\x89PNG"), f"/vector_stores/{store(api)}"
    told = "Files with extensions [.png] are not supported for retrieval. docs/vector-stores.md names those that are."
    for path, body in (
        ("/vector_stores", {"file_ids": [image]}),
        (f"{place}/files", {"file_id": image}),
        (f"{place}/file_batches", {"file_ids": [image]}),
    ):
        refused(api.post(path, body), (told, "file_ids", "unsupported_file"))
    assert api.ok("GET", f"{place}/files")["data"] == []


def test_unknown_files_are_named_and_nothing_is_put(api: Client) -> None:
    one, place = file(api), f"/vector_stores/{store(api)}"
    told = "File IDs ['file-a', 'file-b'] were not found."
    for path, body in (
        (f"{place}/file_batches", {"file_ids": ["file-b", one, "file-a"]}),
        (f"{place}/file_batches", {"files": [{"file_id": "file-b"}, {"file_id": one}, {"file_id": "file-a"}]}),
        ("/vector_stores", {"file_ids": ["file-b", one, "file-a"]}),
    ):
        expect_error(api.post(path, body), 400, told)
    expect_error(api.post(f"{place}/files", {"file_id": "file-a"}), 400, "File IDs ['file-a'] were not found.")
    assert api.ok("GET", place)["file_counts"] == NO_FILES


def test_files_of_another_workspace_are_not_found(api: Client, other_api: Client) -> None:
    one = file(other_api)
    expect_error(api.post("/vector_stores", {"file_ids": [one]}), 400, f"File IDs ['{one}'] were not found.")


def test_a_batch_from_its_creation_to_its_end(api: Client) -> None:
    good, bad = file(api), file(api, "a.pdf", b"no pdf")
    place = f"/vector_stores/{store(api)}"
    made = api.ok("POST", f"{place}/file_batches", {"file_ids": [good, bad], "attributes": {"lang": "en"}})
    assert re.fullmatch("vsfb_[0-9a-f]{32}", made["id"])
    assert made == {
        "id": made["id"], "object": "vector_store.file_batch", "created_at": made["created_at"], "status": "in_progress",
        "vector_store_id": place.rsplit("/", 1)[-1], "file_counts": NO_FILES | {"in_progress": 2, "total": 2},
    }  # fmt: skip
    path = f"{place}/file_batches/{made['id']}"
    done = settled(api, path)
    counts = NO_FILES | {"completed": 1, "failed": 1, "total": 2}
    assert done == made | {"status": "completed", "file_counts": counts}
    assert api.ok("POST", f"{path}/cancel") == done, "one that is done stays as it is"
    files = api.ok("GET", f"{path}/files", query={"order": "asc"})["data"]
    assert [(each["id"], each["attributes"]) for each in files] == [(good, {"lang": "en"}), (bad, {"lang": "en"})]
    unknown_batch = f"vsfb_{'0' * 32}"
    for answer in (
        api.get(f"{place}/file_batches/{unknown_batch}"),
        api.get(f"{place}/file_batches/{unknown_batch}/files"),
        api.post(f"{place}/file_batches/{unknown_batch}/cancel"),
    ):
        expect_error(answer, 404, f"No file batch found with id '{unknown_batch}'.")


def test_files_of_a_batch_have_settings_of_their_own(api: Client) -> None:
    one, other = file(api), file(api)
    place = f"/vector_stores/{store(api)}"
    sizes = chunking(max_chunk_size_tokens=200, chunk_overlap_tokens=100)
    body = {"files": [{"file_id": one, "attributes": {"n": 1, "f": 1.5, "b": True, "s": "x"}, **sizes}, {"file_id": other}]}
    batch = api.ok("POST", f"{place}/file_batches", body)["id"]
    settled(api, f"{place}/file_batches/{batch}")
    first, second = api.ok("GET", f"{place}/files", query={"order": "asc"})["data"]
    assert (first["attributes"], first["chunking_strategy"]) == (body["files"][0]["attributes"], sizes["chunking_strategy"])
    assert (second["attributes"], second["chunking_strategy"]) == ({}, AUTO)


def test_a_full_batch_and_one_too_many(api: Client) -> None:
    one, place = file(api), f"/vector_stores/{store(api)}"
    many = api.post(f"{place}/file_batches", {"file_ids": [one] * 2_000})
    assert (many.status, many.body["file_counts"]["total"]) == (200, 1), "a file that is named twice counts once"
    for field, item in (("file_ids", one), ("files", {"file_id": one})):
        message, param, code = array_too_long(field, 2_000, 2_001)
        expect_error(api.post(f"{place}/file_batches", {field: [item] * 2_001}), 400, message, param, code)
    message, param, code = array_too_long("file_ids", 500, 501)
    expect_error(api.post("/vector_stores", {"file_ids": [one] * 501}), 400, message, param, code)


def test_pages_of_stores_files_and_batches(api: Client) -> None:
    names = [file(api) for _ in range(5)]
    place = filled(api, *names)
    batch = api.ok("POST", f"{place}/file_batches", {"file_ids": names})["id"]
    settled(api, f"{place}/file_batches/{batch}")
    for path in (f"{place}/files", f"{place}/file_batches/{batch}/files"):
        first = api.ok("GET", path, query={"limit": 2})
        assert (ids_of(first), first["has_more"]) == (names[:-3:-1], True)
        assert (first["first_id"], first["last_id"]) == (names[4], names[3])
        second = api.ok("GET", path, query={"limit": 2, "after": first["last_id"]})
        assert ids_of(second) == [names[2], names[1]]
        back = api.ok("GET", path, query={"limit": 2, "before": second["first_id"]})
        assert ids_of(back) == ids_of(first)
        assert ids_of(api.ok("GET", path, query={"order": "asc"})) == names
        assert ids_of(api.ok("GET", path, query={"filter": "completed", "limit": 1, "order": "asc"})) == [names[0]]
        none = api.ok("GET", path, query={"filter": "cancelled"})
        assert none == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
        expect_error(api.get(path, after="file-none"), 400, "No file found with id 'file-none'.")
        message, param, code = not_supported("filter", "done", "'in_progress', 'completed', 'failed', and 'cancelled'")
        expect_error(api.get(path, filter="done"), 400, message, param, code)
    stores = [store(api) for _ in range(3)]
    assert ids_of(api.ok("GET", "/vector_stores", query={"limit": 3})) == stores[::-1]
    assert ids_of(api.ok("GET", "/vector_stores", query={"limit": 1, "after": stores[2]})) == [stores[1]]
    assert ids_of(api.ok("GET", "/vector_stores", query={"limit": 1, "before": stores[1]})) == [stores[2]]
    expect_error(api.get("/vector_stores", after=NOWHERE), 400, f"No vector store found with id '{NOWHERE}'.")
    message, param, code = integer_above("limit", 100, 101)
    expect_error(api.get("/vector_stores", limit=101), 400, message, param, code)


def test_putting_a_file_again_is_no_error(api: Client) -> None:
    one = file(api)
    place = filled(api, one)
    again = api.ok("POST", f"{place}/files", {"file_id": one, "attributes": {"n": 2}})
    assert again["attributes"] == {"n": 2}
    settled(api, f"{place}/files/{one}")
    assert api.ok("GET", place)["file_counts"] == NO_FILES | {"completed": 1, "total": 1}


def test_search_shows_what_it_found(api: Client) -> None:
    one = file(api, "übung.md", "Die Größe der Insel ist unbekannt.".encode())
    place = filled(api, one)
    api.ok("POST", f"{place}/files/{one}", {"attributes": {"lang": "de", "year": 2024}})
    page = api.ok("POST", f"{place}/search", {"query": ["größe", "zeppelin"]})
    (result,) = page["data"]
    assert page == {
        "object": "vector_store.search_results.page", "search_query": ["größe", "zeppelin"], "data": [result],
        "has_more": False, "next_page": None,
    }  # fmt: skip
    assert 0 < result.pop("score") <= 1
    assert result == {
        "file_id": one, "filename": "übung.md", "attributes": {"lang": "de", "year": 2024},
        "content": [{"type": "text", "text": "Die Größe der Insel ist unbekannt."}],
    }  # fmt: skip


BAD_STORES = [
    ({"name": 1}, wrong_type("name", "a string", "an integer")),
    ({"tools": []}, unknown("tools")),
    ({"file_ids": "file-a"}, wrong_type("file_ids", "an array", "a string")),
    ({"file_ids": ["x"]}, ("Invalid 'file_ids[0]': 'x'. Expected an ID that begins with 'file'.", "file_ids[0]", "invalid_value")),
    ({"expires_after": {"days": 1}}, missing("expires_after.anchor")),
    ({"expires_after": {"anchor": "last_active_at"}}, missing("expires_after.days")),
    ({"expires_after": {"anchor": "created_at", "days": 1}},
     not_supported("expires_after.anchor", "created_at", "'last_active_at'")),
    ({"expires_after": {"anchor": "last_active_at", "days": 0}}, integer_below("expires_after.days", 1, 0)),
    ({"expires_after": {"anchor": "last_active_at", "days": 366}}, integer_above("expires_after.days", 365, 366)),
    ({"chunking_strategy": {"type": "other"}}, not_supported("chunking_strategy.type", "other", "'auto' and 'static'")),
    ({"chunking_strategy": {"type": "static"}}, missing("chunking_strategy.static")),
    (chunking(max_chunk_size_tokens=100), missing("chunking_strategy.static.chunk_overlap_tokens")),
    (chunking(max_chunk_size_tokens=99, chunk_overlap_tokens=0),
     integer_below("chunking_strategy.static.max_chunk_size_tokens", 100, 99)),
    (chunking(max_chunk_size_tokens=4097, chunk_overlap_tokens=0),
     integer_above("chunking_strategy.static.max_chunk_size_tokens", 4096, 4097)),
    (chunking(max_chunk_size_tokens=100, chunk_overlap_tokens=51),
     ("Invalid 'chunking_strategy.static.chunk_overlap_tokens': the overlap must be at most half of "
      "'max_chunk_size_tokens'.", "chunking_strategy.static.chunk_overlap_tokens", "invalid_value")),
]  # fmt: skip

BAD_FILES = [
    ({}, missing("file_id")),
    ({"file_id": 1}, wrong_type("file_id", "a string", "an integer")),
    ({"file_id": "FILE", "attributes": {"k": "v" * 513}}, too_long("attributes.k", 512, 513)),
    ({"file_id": "FILE", "attributes": {"k": None}}, wrong_type("attributes.k", SCALAR, "null")),
    ({"file_id": "FILE", "attributes": {"k": [1]}}, wrong_type("attributes.k", SCALAR, "an array")),
    ({"file_id": "FILE", "attributes": {str(n): n for n in range(17)}},
     ("Invalid 'attributes': too many properties. Expected an object with at most 16 properties, but got an object with "
      "17 properties instead.", "attributes", "object_above_max_properties")),
    ({"file_id": "FILE", "attributes": {"k" * 65: 1}},
     ("Invalid property name in 'attributes': 'kkk...kkk' is too long. Expected a string with maximum length 64, but got "
      "a string with length 65 instead.", f"attributes.{'k' * 65}", "property_name_above_max_length")),
]  # fmt: skip

BAD_BATCHES = [
    ({}, missing("file_ids")),
    ({"file_ids": []}, empty_array("file_ids")),
    ({"files": []}, empty_array("files")),
    ({"files": [{}]}, missing("files[0].file_id")),
    ({"files": [{"file_id": "file-a", "attributes": {"k": {}}}]}, wrong_type("files[0].attributes.k", SCALAR, "an object")),
    ({"file_ids": ["file-a"], "files": [{"file_id": "file-a"}]},
     ("Mutually exclusive parameters. Ensure you are only providing one of: 'file_ids' or 'files'.", "files",
      "mutually_exclusive_parameters")),
]  # fmt: skip

EVERY_FILTER = "'eq', 'ne', 'gt', 'gte', 'lt', 'lte', 'in', 'nin', 'and', and 'or'"
BAD_SEARCHES = [
    ({}, missing("query")),
    ({"query": []}, empty_array("query")),
    ({"query": ["a"] * 17}, array_too_long("query", 16, 17)),
    ({"query": 1}, wrong_type("query", "one of a string or array", "an integer")),
    ({"query": "a", "max_num_results": 0}, integer_below("max_num_results", 1, 0)),
    ({"query": "a", "max_num_results": 51}, integer_above("max_num_results", 50, 51)),
    ({"query": "a", "ranking_options": {"ranker": "default_2024_08_21"}},
     not_supported("ranking_options.ranker", "default_2024_08_21", "'none', 'auto', and 'default-2024-11-15'")),
    ({"query": "a", "ranking_options": {"score_threshold": 1.1}}, decimal_above("ranking_options.score_threshold", 1, 1.1)),
    ({"query": "a", "rewrite_query": True},
     ("'rewrite_query' is not supported: this server has no model that rewrites queries (`file_search.rewrite_model` in "
      "its configuration).", "rewrite_query", "not_supported")),
    ({"query": "a", "filters": {}}, missing("filters.type")),
    ({"query": "a", "filters": {"type": "like"}}, not_supported("filters.type", "like", EVERY_FILTER)),
    ({"query": "a", "filters": {"type": "eq", "value": 1}}, missing("filters.key")),
    ({"query": "a", "filters": {"type": "eq", "key": "k"}}, missing("filters.value")),
    ({"query": "a", "filters": {"type": "eq", "key": "k", "value": [1]}}, wrong_type("filters.value", SCALAR, "an array")),
    ({"query": "a", "filters": {"type": "in", "key": "k", "value": 1}}, wrong_type("filters.value", "an array", "an integer")),
    ({"query": "a", "filters": {"type": "gt", "key": "k", "value": True}},
     ("Invalid 'filters.value': expected a string or a number, but got a boolean instead.", "filters.value", "invalid_value")),
    ({"query": "a", "filters": {"type": "or"}}, missing("filters.filters")),
    ({"query": "a", "filters": {"type": "and", "filters": [{"type": "eq", "key": "k", "value": {}}]}},
     wrong_type("filters.filters[0].value", SCALAR, "an object")),
    ({"query": "a", "filters": {"type": "eq", "key": "k" * 65, "value": 1}},
     ("Invalid 'filters.key': string too long, keys have 64 characters at most.", "filters.key", "invalid_value")),
    ({"query": "a", "filters": nested(10)},
     (f"Invalid 'filters{'.filters[0]' * 10}': filters may be nested 10 deep at most.", f"filters{'.filters[0]' * 10}",
      "invalid_value")),
]  # fmt: skip


def refused(answer: Answer, expected: tuple[str, str | None, str | None]) -> None:
    expect_error(answer, 400, *expected)


@pytest.mark.parametrize(("body", "expected"), BAD_STORES)
def test_stores_that_are_none(api: Client, body: dict[str, Any], expected: tuple) -> None:
    refused(api.post("/vector_stores", body), expected)
    if "expires_after" in body:
        refused(api.post(f"/vector_stores/{store(api)}", body), expected)


@pytest.mark.parametrize(("body", "expected"), BAD_FILES)
def test_files_that_are_none(api: Client, body: dict[str, Any], expected: tuple) -> None:
    one = file(api)
    place = f"/vector_stores/{store(api)}"
    named = {key: one if value == "FILE" else value for key, value in body.items()}
    refused(api.post(f"{place}/files", named), expected)
    if "attributes" in body:
        attributes = {"attributes": body["attributes"]}
        api.ok("POST", f"{place}/files", {"file_id": one})
        refused(api.post(f"{place}/files/{one}", attributes), expected)
        refused(api.post(f"{place}/file_batches", {"file_ids": [one], **attributes}), expected)


@pytest.mark.parametrize(("body", "expected"), BAD_BATCHES)
def test_batches_that_are_none(api: Client, body: dict[str, Any], expected: tuple) -> None:
    refused(api.post(f"/vector_stores/{store(api)}/file_batches", body), expected)


@pytest.mark.parametrize(("body", "expected"), BAD_SEARCHES)
def test_searches_that_are_none(api: Client, body: dict[str, Any], expected: tuple) -> None:
    refused(api.post(f"/vector_stores/{store(api)}/search", body), expected)


def test_what_may_be_null_is_as_if_it_were_left_out(api: Client) -> None:
    nothing = {"name": None, "description": None, "file_ids": None, "expires_after": None, "chunking_strategy": None}
    place = f"/vector_stores/{store(api, metadata=None, **nothing)}"
    one = file(api)
    put = api.ok("POST", f"{place}/files", {"file_id": one, "attributes": None, "chunking_strategy": None})
    assert (put["attributes"], put["chunking_strategy"]) == ({}, AUTO)
    search = {"query": "a", "filters": None, "ranking_options": None, "max_num_results": None, "rewrite_query": None}
    assert api.ok("POST", f"{place}/search", search)["object"] == "vector_store.search_results.page"


@pytest.mark.parametrize("filters", [nested(9), {"type": "and", "filters": []}, {"type": "in", "key": "k", "value": ["a", 1]}])
def test_filters_at_the_edge(api: Client, filters: dict[str, Any]) -> None:
    assert api.ok("POST", f"/vector_stores/{store(api)}/search", {"query": "a", "filters": filters})["data"] == []


def test_ids_of_another_kind_are_refused(api: Client) -> None:
    told = "Invalid 'vector_store_id': 'file-a'. Expected an ID that begins with 'vs'."
    refused(api.get("/vector_stores/file-a"), (told, "vector_store_id", "invalid_value"))
    expect_error(api.get(f"/vector_stores/{NOWHERE}/files"), 404, f"No vector store found with id '{NOWHERE}'.")
