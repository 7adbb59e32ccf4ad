"""Files and uploads through each SDK: every call, and the helpers that go with them."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest
from clients import Client
from recording import Recorder

TEXT = b"One line.\nAnother one, with \xc3\xbcmlauts.\n"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


def test_a_file_from_bytes_a_path_and_a_stream(client: Client, recorder: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "übung 日本.txt"
    path.write_bytes(TEXT)
    with path.open("rb") as opened:
        made = [
            client.files.create(file=("übung 日本.txt", TEXT), purpose="assistants"),
            client.files.create(file=path, purpose="assistants"),
            client.files.create(file=opened, purpose="assistants"),
            client.files.create(file=("übung 日本.txt", io.BytesIO(TEXT)), purpose="assistants"),
        ]
    for file in made:
        assert (file.filename, file.bytes, file.purpose) == ("übung 日本.txt", len(TEXT), "assistants")
        assert (file.object, file.status, file.expires_at) == ("file", "processed", None)
        found = client.files.retrieve(file.id)
        assert (found.id, found.filename, found.created_at) == (file.id, file.filename, file.created_at)
    assert len({file.id for file in made}) == 4
    assert recorder.last.response_body["status_details"] is None


def test_wait_for_processing_has_nothing_to_wait_for(client: Client) -> None:
    if not hasattr(client.files, "wait_for_processing"):
        pytest.skip("not in this SDK")
    file = client.files.create(file=("a.txt", TEXT), purpose="assistants")
    assert client.files.wait_for_processing(file.id, poll_interval=60, max_wait_seconds=5).status == "processed"


def test_a_file_that_goes_away(client: Client) -> None:
    hour = {"anchor": "created_at", "seconds": 3600}
    file = client.files.create(file=("a.txt", TEXT), purpose="assistants", expires_after=hour)
    assert file.expires_at == file.created_at + 3600
    assert client.files.retrieve(file.id).expires_at == file.expires_at
    with pytest.raises(client.errors.BadRequestError):
        client.files.create(file=("a.txt", TEXT), purpose="assistants", expires_after=hour | {"seconds": 1})


def test_content_list_and_delete(client: Client, recorder: Recorder) -> None:
    images = [client.files.create(file=(f"{n}.png", PNG), purpose="vision") for n in range(3)]
    assert client.files.content(images[0].id).read() == PNG
    listed = [file.id for file in client.files.list(purpose="vision", limit=2).data]
    assert listed == [images[2].id, images[1].id]
    after = client.files.list(purpose="vision", after=images[1].id, limit=1).data
    assert [file.id for file in after] == [images[0].id]
    kept_back = client.files.create(file=("a.txt", TEXT), purpose="assistants")
    with pytest.raises(client.errors.BadRequestError, match="Not allowed to download files of purpose: assistants"):
        client.files.content(kept_back.id)
    for file in (*images, kept_back):
        gone = client.files.delete(file.id)
        assert (gone.id, gone.object, gone.deleted) == (file.id, "file", True)
    with pytest.raises(client.errors.NotFoundError, match="No such File object"):
        client.files.retrieve(images[0].id)


def test_what_is_refused(client: Client) -> None:
    with pytest.raises(client.errors.BadRequestError, match="'nonsense' is not one of"):
        client.files.create(file=("a.txt", TEXT), purpose="nonsense")
    with pytest.raises(client.errors.NotFoundError, match="No such File object: file-none"):
        client.files.delete("file-none")


def test_another_workspace_has_files_of_its_own(client: Client, stranger: Client) -> None:
    file = client.files.create(file=("a.png", PNG), purpose="vision")
    with pytest.raises(stranger.errors.NotFoundError):
        stranger.files.content(file.id)
    assert file.id not in {other.id for other in stranger.files.list().data}


def test_an_upload_in_parts(client: Client) -> None:
    if not hasattr(client, "uploads"):
        pytest.skip("not in this SDK")
    whole = PNG * 100
    upload = client.uploads.create(
        filename="large.jsonl",
        purpose="fine-tune",
        bytes=len(whole),
        mime_type="text/jsonl",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert (upload.status, upload.file) == ("pending", None)
    middle = len(whole) // 3
    tail = client.uploads.parts.create(upload.id, data=whole[middle:])
    head = client.uploads.parts.create(upload.id, data=whole[:middle])
    assert tail.upload_id == upload.id
    md5 = hashlib.md5(whole).hexdigest()
    with pytest.raises(client.errors.BadRequestError, match="The MD5 of the parts is"):
        client.uploads.complete(upload.id, part_ids=[tail.id, head.id], md5=md5)
    done = client.uploads.complete(upload.id, part_ids=[head.id, tail.id], md5=md5)
    assert (done.status, done.file.bytes, done.file.filename) == ("completed", len(whole), "large.jsonl")
    assert done.file.expires_at == done.file.created_at + 3600
    assert client.files.content(done.file.id).read() == whole
    other = client.uploads.create(filename="a", purpose="batch", bytes=1, mime_type="text/plain")
    assert client.uploads.cancel(other.id).status == "cancelled"
    with pytest.raises(client.errors.BadRequestError, match="status is 'cancelled'"):
        client.uploads.parts.create(other.id, data=b"x")


# The older SDK does not close the file that it reads.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <_io.FileIO name=.*large.txt")
def test_upload_file_chunked(client: Client, tmp_path: Path) -> None:
    if not hasattr(getattr(client, "uploads", None), "upload_file_chunked"):
        pytest.skip("not in this SDK")
    path = tmp_path / "large.txt"
    path.write_bytes(TEXT * 1000)
    upload = client.uploads.upload_file_chunked(
        file=path, mime_type="text/plain", purpose="assistants", part_size=10_000
    )
    assert (upload.status, upload.file.bytes, upload.file.filename) == ("completed", len(TEXT) * 1000, "large.txt")


def test_files_that_assistants_and_messages_name(client: Client) -> None:
    table = client.files.create(file=("a.csv", b"a,b\n"), purpose="assistants")
    assistant = client.beta.assistants.create(
        model="echo",
        tools=[{"type": "code_interpreter"}],
        tool_resources={"code_interpreter": {"file_ids": [table.id]}},
    )
    assert assistant.tool_resources.code_interpreter.file_ids == [table.id]
    thread = client.beta.threads.create(
        messages=[
            {
                "role": "user",
                "content": "Look.",
                "attachments": [{"file_id": table.id, "tools": [{"type": "code_interpreter"}]}],
            }
        ]
    )
    assert client.beta.threads.retrieve(thread.id).tool_resources.code_interpreter.file_ids == [table.id]
    client.files.delete(table.id)
    assert client.beta.assistants.retrieve(assistant.id).tool_resources.code_interpreter.file_ids == []
    image = client.files.create(file=("a.png", PNG), purpose="vision")
    parts = [{"type": "image_file", "image_file": {"file_id": image.id}}, {"type": "text", "text": "What is it?"}]
    message = client.beta.threads.messages.create(thread.id, role="user", content=parts)
    assert message.content[0].image_file.file_id == image.id
