"""Vector stores through each SDK: every call, and the helpers that upload, wait and page."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from clients import Client
from recording import Recorder
from scenario import POLL_MS

POLL: dict[str, Any] = {"poll_interval_ms": POLL_MS}
FOOD = ("food.md", b"# Food\n\nThe favourite food of the crew is pizza with pineapple.\n")
PETS = ("pets.txt", "Our cat is called Minka. She likes Würste.".encode())
BROKEN = ("broken.pdf", b"%PDF-1.7\nand then nothing that a PDF has\n")
AUTO = {"type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400}}
SMALL = {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20}}


def uploaded(client: Client, *files: tuple[str, bytes]) -> list[str]:
    return [client.files.create(file=file, purpose="assistants").id for file in files]


def filled(client: Client, *files: tuple[str, bytes], **fields: Any) -> tuple[str, list[str]]:
    """A store with these files, all of them looked at."""
    store = client.vector_stores.create(**fields).id
    ids = uploaded(client, *files)
    batch = client.vector_stores.file_batches.create_and_poll(store, file_ids=ids, **POLL)
    assert (batch.status, batch.file_counts.in_progress) == ("completed", 0)
    return store, ids


def batch_of(client: Client, store: str, files: dict[str, dict[str, Any]]) -> Any:
    """Puts files with attributes, as one batch, and waits for it. The one of openai 1.x knows ids only."""
    batches = client.vector_stores.file_batches
    if "files" in inspect.signature(batches.create).parameters:
        named = [{"file_id": file, "attributes": attributes} for file, attributes in files.items()]
        return batches.create_and_poll(store, files=named, **POLL)
    batch = batches.create_and_poll(store, file_ids=list(files), **POLL)
    for file, attributes in files.items():
        client.vector_stores.files.update(file, vector_store_id=store, attributes=attributes)
    return batch


def counts(holder: Any) -> tuple[int, int, int, int, int]:
    of = holder.file_counts
    return of.in_progress, of.completed, of.failed, of.cancelled, of.total


def needs(resource: Any, method: str) -> Any:
    if not hasattr(resource, method):
        pytest.skip("not in this SDK")
    return getattr(resource, method)


def found(client: Client, store: str, **query: Any) -> list[str]:
    return [result.filename for result in client.vector_stores.search(store, **query).data]


def test_a_store_is_made_changed_listed_and_deleted(client: Client, recorder: Recorder) -> None:
    stores = client.vector_stores
    made = stores.create(name="Handbook", metadata={"team": "support"}, expires_after={"anchor": "last_active_at", "days": 3})
    assert (made.status, made.name, made.metadata, counts(made)) == ("completed", "Handbook", {"team": "support"}, (0,) * 5)
    assert (made.expires_after.days, made.expires_at) == (3, made.last_active_at + 3 * 86_400)
    assert recorder.last.request_headers["openai-beta"] == "assistants=v2"
    assert stores.retrieve(made.id).created_at == made.created_at
    changed = stores.update(made.id, name="Handbook 2", expires_after=None, metadata={"team": "sales"})
    assert (changed.name, changed.expires_at, changed.metadata) == ("Handbook 2", None, {"team": "sales"})
    others = [stores.create().id for _ in range(2)]
    newest = [store.id for store in stores.list(limit=3).data]
    assert newest == [others[1], others[0], made.id]
    every = [store.id for store in client.every(stores.list, limit=1, order="desc", before=None)][:3]
    assert every == newest
    for store in newest:
        gone = stores.delete(store)
        assert (gone.id, gone.object, gone.deleted) == (store, "vector_store.deleted", True)
    with pytest.raises(client.errors.NotFoundError, match="No vector store found with id"):
        stores.retrieve(made.id)


def test_a_store_that_begins_with_files(client: Client) -> None:
    ids = uploaded(client, FOOD, PETS)
    store = client.vector_stores.create(file_ids=ids, chunking_strategy=SMALL)
    assert (store.status, counts(store)) == ("in_progress", (2, 0, 0, 0, 2))
    for file in ids:
        done = client.vector_stores.files.poll(file, vector_store_id=store.id, **POLL)
        assert (done.status, done.chunking_strategy.static.max_chunk_size_tokens) == ("completed", 100)
    now = client.vector_stores.retrieve(store.id)
    assert (now.status, counts(now)) == ("completed", (0, 2, 0, 0, 2))
    assert now.usage_bytes > 0


def test_one_file_create_and_poll(client: Client, recorder: Recorder) -> None:
    store = client.vector_stores.create().id
    (file,) = uploaded(client, FOOD)
    put = client.vector_stores.files.create_and_poll(file, vector_store_id=store, attributes={"lang": "en", "year": 2024}, **POLL)
    assert (put.id, put.status, put.vector_store_id, put.last_error) == (file, "completed", store, None)
    assert put.attributes == {"lang": "en", "year": 2024}
    assert recorder.last.response_body["chunking_strategy"] == AUTO
    again = client.vector_stores.files.retrieve(file, vector_store_id=store)
    assert (again.usage_bytes, again.created_at) == (put.usage_bytes, put.created_at)
    gone = client.vector_stores.files.delete(file, vector_store_id=store)
    assert (gone.id, gone.object, gone.deleted) == (file, "vector_store.file.deleted", True)
    assert client.files.retrieve(file).id == file, "the file itself stays"
    with pytest.raises(client.errors.NotFoundError, match="No file found with id"):
        client.vector_stores.files.retrieve(file, vector_store_id=store)


def test_one_file_upload_and_poll(client: Client, tmp_path: Path) -> None:
    store = client.vector_stores.create().id
    path = tmp_path / "übung.md"
    path.write_bytes(FOOD[1])
    put = client.vector_stores.files.upload_and_poll(vector_store_id=store, file=path, chunking_strategy=SMALL, **POLL)
    assert (put.status, client.files.retrieve(put.id).filename) == ("completed", "übung.md")
    waiting = client.vector_stores.files.upload(vector_store_id=store, file=PETS)
    assert waiting.status == "in_progress"
    assert client.vector_stores.files.poll(waiting.id, vector_store_id=store, **POLL).status == "completed"


def test_a_batch_create_and_poll_and_its_files(client: Client) -> None:
    store = client.vector_stores.create().id
    good, pets, bad = uploaded(client, FOOD, PETS, BROKEN)
    batches, files = client.vector_stores.file_batches, client.vector_stores.files
    batch = batch_of(client, store, {good: {"kind": "food"}, pets: {}, bad: {}})
    assert (batch.status, counts(batch)) == ("completed", (0, 2, 1, 0, 3)), "failed files leave a batch completed"
    assert counts(batches.retrieve(batch.id, vector_store_id=store)) == counts(batch)
    assert {file.id for file in files.list(store, filter="completed").data} == {good, pets}
    assert [file.id for file in files.list(store, filter="failed").data] == [bad]
    assert list(files.list(store, filter="in_progress").data) == []
    listed = [file.id for file in client.every(batches.list_files, batch_id=batch.id, vector_store_id=store, limit=2)]
    assert listed == [bad, pets, good]
    failed = batches.list_files(batch.id, vector_store_id=store, filter="failed").data
    assert [file.id for file in failed] == [bad]
    assert files.retrieve(good, vector_store_id=store).attributes == {"kind": "food"}


def test_a_broken_file_says_why(client: Client) -> None:
    store = client.vector_stores.create().id
    put = client.vector_stores.files.upload_and_poll(vector_store_id=store, file=BROKEN, **POLL)
    assert (put.status, put.last_error.code) == ("failed", "invalid_file")
    assert put.last_error.message.endswith(".")
    assert counts(client.vector_stores.retrieve(store)) == (0, 0, 1, 0, 1)


def test_a_batch_upload_and_poll(client: Client) -> None:
    store = client.vector_stores.create().id
    (before,) = uploaded(client, FOOD)
    many = [(f"note {n}.txt", f"Note {n} is about the number {n}.".encode()) for n in range(8)]
    batch = client.vector_stores.file_batches.upload_and_poll(
        store, files=many, file_ids=[before], max_concurrency=3, **POLL
    )
    assert (batch.status, counts(batch)) == ("completed", (0, 9, 0, 0, 9))
    every = [file.id for file in client.every(client.vector_stores.files.list, vector_store_id=store, limit=4)]
    assert len(every) == len(set(every)) == 9


def test_a_batch_is_cancelled(client: Client) -> None:
    store = client.vector_stores.create().id
    text = b"All work and no play makes a dull file. " * 2_000
    ids = uploaded(client, *((f"{n}.txt", b"%d %s" % (n, text)) for n in range(24)))
    batches = client.vector_stores.file_batches
    batch = batches.create(store, file_ids=ids)
    assert (batch.status, counts(batch)) == ("in_progress", (24, 0, 0, 0, 24))
    cancelled = batches.cancel(batch.id, vector_store_id=store)
    settled = batches.poll(batch.id, vector_store_id=store, **POLL)
    assert (cancelled.status, settled.status) == ("cancelled", "cancelled")
    assert settled.file_counts.cancelled > 0
    assert settled.file_counts.cancelled + settled.file_counts.completed == 24
    listed = client.every(batches.list_files, batch_id=batch.id, vector_store_id=store, filter="cancelled")
    assert len(list(listed)) == settled.file_counts.cancelled
    assert counts(batches.cancel(batch.id, vector_store_id=store)) == counts(settled)


def test_cancelling_a_batch_that_is_done_leaves_it(client: Client) -> None:
    store = client.vector_stores.create().id
    batches = client.vector_stores.file_batches
    batch = batches.create_and_poll(store, file_ids=uploaded(client, FOOD), **POLL)
    cancelled = batches.cancel(batch.id, vector_store_id=store)
    assert (cancelled.id, cancelled.status, counts(cancelled)) == (batch.id, "completed", (0, 1, 0, 0, 1))


def test_content_is_the_text_as_it_was_read(client: Client) -> None:
    content = needs(client.vector_stores.files, "content")
    store, (file, _) = filled(client, PETS, BROKEN)
    assert [part.text for part in content(file, vector_store_id=store).data] == [PETS[1].decode()]


def test_attributes_are_replaced_and_search_sees_it(client: Client) -> None:
    update = needs(client.vector_stores.files, "update")
    store, (food, pets) = filled(client, FOOD, PETS)
    english = {"type": "eq", "key": "lang", "value": "en"}
    assert found(client, store, query="pizza", filters=english) == []
    changed = update(food, vector_store_id=store, attributes={"lang": "en", "year": 2024.5, "draft": False})
    assert changed.attributes == {"lang": "en", "year": 2024.5, "draft": False}
    assert found(client, store, query="pizza", filters=english) == ["food.md"]
    assert update(food, vector_store_id=store, attributes={"lang": "de"}).attributes == {"lang": "de"}
    assert found(client, store, query="pizza", filters=english) == []
    assert update(food, vector_store_id=store, attributes=None).attributes == {}
    assert update(pets, vector_store_id=store, attributes={}).attributes == {}


def test_search(client: Client, recorder: Recorder) -> None:
    search = needs(client.vector_stores, "search")
    store, (food, pets) = filled(client, FOOD, PETS)
    page = search(store, query="What is the favourite food of the crew?")
    assert recorder.last.response_body["search_query"] == ["What is the favourite food of the crew?"]
    best = page.data[0]
    assert (best.file_id, best.filename, best.attributes) == (food, "food.md", {})
    assert 0 < best.score <= 1
    assert "pizza with pineapple" in best.content[0].text
    both = search(store, query=["favourite food", "cat called Minka"], max_num_results=10)
    assert {result.file_id for result in both.data} == {food, pets}
    assert len(search(store, query=["favourite food", "cat called Minka"], max_num_results=1).data) == 1
    assert search(store, query="zeppelin").data == []
    strict = {"ranker": "auto", "score_threshold": 1.0}
    assert search(store, query="food and other things", ranking_options=strict).data == []


def test_filters(client: Client) -> None:
    needs(client.vector_stores, "search")
    store = client.vector_stores.create().id
    years = {2022: "de", 2023: "en", 2024: "en"}
    names = uploaded(client, *((f"{year}.txt", f"Report of {year}: all is well.".encode()) for year in years))
    attributes = [{"lang": lang, "year": year} for year, lang in years.items()]
    batch_of(client, store, dict(zip(names, attributes, strict=True)))

    def of(kind: str, key: str, value: Any) -> dict[str, Any]:
        return {"type": kind, "key": key, "value": value}

    english, early = of("eq", "lang", "en"), of("lt", "year", 2024)
    for filters, expected in [
        (english, [2023, 2024]),
        (of("ne", "lang", "en"), [2022]),
        (early, [2022, 2023]),
        (of("lte", "year", 2023), [2022, 2023]),
        (of("gt", "year", 2023), [2024]),
        (of("gte", "year", 2023), [2023, 2024]),
        (of("in", "year", [2022, 2024]), [2022, 2024]),
        (of("nin", "year", [2022, 2024]), [2023]),
        ({"type": "and", "filters": [english, early]}, [2023]),
        ({"type": "or", "filters": [of("eq", "lang", "de"), {"type": "and", "filters": [english, early]}]}, [2022, 2023]),
    ]:
        names = sorted(found(client, store, query="report", filters=filters))
        assert names == [f"{year}.txt" for year in expected], filters
    with pytest.raises(client.errors.BadRequestError):
        found(client, store, query="report", filters=of("like", "lang", "e"))


def test_a_deleted_file_leaves_its_stores(client: Client) -> None:
    store, (food, pets) = filled(client, FOOD, PETS)
    client.files.delete(food)
    assert [file.id for file in client.vector_stores.files.list(store).data] == [pets]
    assert counts(client.vector_stores.retrieve(store)) == (0, 1, 0, 0, 1)
    if hasattr(client.vector_stores, "search"):
        assert found(client, store, query="favourite food") == []


def test_an_upload_in_chunks_is_indexed(client: Client) -> None:
    chunked = needs(getattr(client, "uploads", None), "upload_file_chunked")
    text = b"".join(b"Line %d of a long book.\n" % n for n in range(4_000))
    upload = chunked(
        file=text, filename="book.txt", bytes=len(text), mime_type="text/plain", purpose="assistants", part_size=30_000
    )
    store = client.vector_stores.create().id
    put = client.vector_stores.files.create_and_poll(upload.file.id, vector_store_id=store, **POLL)
    assert put.status == "completed"
    if hasattr(client.vector_stores, "search"):
        (best, *_) = client.vector_stores.search(store, query="Line 3777").data
        assert "Line 3777 of" in best.content[0].text


def test_another_workspace_has_stores_of_its_own(client: Client, stranger: Client) -> None:
    store, (food,) = filled(client, FOOD)
    for call in (
        lambda: stranger.vector_stores.retrieve(store),
        lambda: stranger.vector_stores.update(store, name="mine"),
        lambda: stranger.vector_stores.files.list(store),
        lambda: stranger.vector_stores.delete(store),
    ):
        with pytest.raises(stranger.errors.NotFoundError):
            call()
    mine = stranger.vector_stores.create().id
    with pytest.raises(stranger.errors.BadRequestError, match="were not found"):
        stranger.vector_stores.files.create(mine, file_id=food)
    assert client.vector_stores.retrieve(store).name is None
