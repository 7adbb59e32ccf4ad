"""Asks about PDFs with the official Python SDK, and checks what is cited: ask.py FOLDER_OF_PDFS MODEL

The server and its key are OPENAI_BASE_URL and OPENAI_API_KEY. Ends with 1 where an answer does not cite the file that it has
to, or its citation does not stand where it says.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

from openai import OpenAI

QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text())
CONTENT = "step_details.tool_calls[*].file_search.results[*].content"


def main() -> None:
    folder, model = Path(sys.argv[1]), sys.argv[2]
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    client = OpenAI()
    store = client.vector_stores.create(name="Three PDFs")
    batch = client.vector_stores.file_batches.upload_and_poll(store.id, files=sorted(folder.glob("*.pdf")))
    assert (batch.status, batch.file_counts.completed) == ("completed", 3), batch
    names = {file.id: client.files.retrieve(file.id).filename for file in client.vector_stores.files.list(store.id)}
    print(f"  indexed {', '.join(sorted(names.values()))}")
    assistant = client.beta.assistants.create(
        model=model,
        tools=[{"type": "file_search", "file_search": {"max_num_results": 3}}],
        tool_resources={"file_search": {"vector_store_ids": [store.id]}},
        temperature=0.01,
    )
    for asked in QUESTIONS:
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id,
            thread={"messages": [{"role": "user", "content": asked["question"]}]},
            # So small a model does not come upon searching by itself.
            tool_choice={"type": "file_search"},
        )
        assert run.status == "completed", run
        steps = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc", include=[CONTENT]).data
        search = steps[0].step_details.tool_calls[0].file_search
        text = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data[0].content[0].text
        (cited,) = text.annotations
        assert text.value[cited.start_index : cited.end_index] == cited.text, text
        assert names[cited.file_citation.file_id] == asked["file"], (asked, text, search)
        assert any(found.file_id == cited.file_citation.file_id and found.content for found in search.results), search
        print(f"  Q: {asked['question']}\n  A: {text.value}")
    client.beta.assistants.delete(assistant.id)
    client.vector_stores.delete(store.id)
    for file in names:
        client.files.delete(file)


main()
