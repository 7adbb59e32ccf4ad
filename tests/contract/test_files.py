"""Files and uploads (contract sections 11.1 to 11.3), through a client that shows every byte."""

from __future__ import annotations

from typing import Any

import pytest
from client import Answer, Client


def upload(api: Client, name: str, content: bytes, purpose: str = "assistants", **more: str) -> Answer:
    form = [("file", (name, content)), ("purpose", (None, purpose.encode()))]
    form += [(field, (None, value.encode())) for field, value in more.items()]
    return api.request("POST", "/files", form=form)


def files_error(answer: Answer, status: int, message: str, param: str | None = None) -> None:
    assert answer.status == status, answer.body
    error = answer.body["error"]
    assert error == {"message": message, "type": "invalid_request_error", "param": param, "code": None}


@pytest.mark.parametrize("name", ["report.pdf", "text/csv", "naïve 日本.txt", 'a "quoted" name', "a;b=c", "x" * 200])
def test_a_name_is_kept_as_it_was_sent(api: Client, name: str) -> None:
    made = upload(api, name, b"%PDF").body
    sent = name.replace('"', "%22")  # how every client writes a quote in the head of a part
    assert made["filename"] in (name, sent)
    assert api.ok("GET", f"/files/{made['id']}") == made


def test_check_17_content_of_assistants_files_is_kept_back(api: Client) -> None:
    for purpose in ("assistants", "user_data"):
        made = upload(api, "a.txt", b"a", purpose).body
        answer = api.get(f"/files/{made['id']}/content")
        files_error(answer, 400, f"Not allowed to download files of purpose: {purpose}")
    made = upload(api, "a.png", b"a\x00b", "vision").body
    answer = api.get(f"/files/{made['id']}/content")
    assert (answer.status, answer.body) == (200, "a\x00b")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_calls_on_files_need_no_beta_header(api: Client) -> None:
    made = upload(api, "a.txt", b"a").body
    assert api.request("GET", f"/files/{made['id']}", headers={"openai-beta": None}).status == 200


@pytest.mark.parametrize("path", ["/files/fake_id", "/files/file-none", "/files/fake_id/content"])
def test_an_unknown_file_is_named_whatever_it_looks_like(api: Client, path: str) -> None:
    files_error(api.get(path), 404, f"No such File object: {path.split('/')[2]}", "id")


def test_batch_files_live_thirty_days_and_others_as_long_as_they_are_told(api: Client) -> None:
    batch = upload(api, "a.jsonl", b"{}", "batch").body
    assert batch["expires_at"] - batch["created_at"] == 30 * 24 * 3600
    hour = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    made = upload(api, "a.txt", b"a", **hour).body
    assert made["expires_at"] - made["created_at"] == 3600


def begin(api: Client, size: int, **fields: Any) -> dict[str, Any]:
    body = {"filename": "a.jsonl", "purpose": "fine-tune", "bytes": size, "mime_type": "text/jsonl"}
    return api.ok("POST", "/uploads", body | fields)


def add(api: Client, upload: dict[str, Any], content: bytes) -> str:
    answer = api.request("POST", f"/uploads/{upload['id']}/parts", form=[("data", ("blob", content))])
    assert answer.status == 200, answer.body
    return answer.body["id"]


def test_an_upload_becomes_the_file_that_its_parts_make(api: Client) -> None:
    started = begin(api, 6)
    assert "file" not in started
    second, first = add(api, started, b"def"), add(api, started, b"abc")
    md5 = "e80b5017098950fc58aad83c8c14978e"  # of b"abcdef"
    path = f"/uploads/{started['id']}/complete"
    done = api.ok("POST", path, {"part_ids": [first, second], "md5": md5})
    assert done == started | {"status": "completed", "file": done["file"]}
    assert done["file"]["created_at"] == started["created_at"]
    assert api.get(f"/files/{done['file']['id']}/content").body == "abcdef"
    assert api.ok("POST", path, {"part_ids": [first, second]}) == done


def test_a_cancelled_upload_is_closed(api: Client) -> None:
    started = begin(api, 3)
    part = add(api, started, b"abc")
    cancelled = api.ok("POST", f"/uploads/{started['id']}/cancel")
    assert cancelled == started | {"status": "cancelled"}
    answer = api.post(f"/uploads/{started['id']}/complete", {"part_ids": [part]})
    files_error(answer, 400, "The upload is not pending: its status is 'cancelled'.")
