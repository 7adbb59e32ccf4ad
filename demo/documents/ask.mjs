// The same as ask.py with the official Node SDK: node ask.mjs FOLDER_OF_PDFS MODEL

import assert from "node:assert/strict";
import {createReadStream, readFileSync, readdirSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";

// The SDK that the suites test with.
const {OpenAI} = createRequire(new URL("../../tests/sdk/node/package.json", import.meta.url))("openai");

const questions = JSON.parse(readFileSync(new URL("questions.json", import.meta.url), "utf8"));
const content = "step_details.tool_calls[*].file_search.results[*].content";

const [folder, model] = process.argv.slice(2);
const client = new OpenAI();
const {threads} = client.beta;
const store = await client.vectorStores.create({name: "Three PDFs"});
const files = readdirSync(folder).filter((name) => name.endsWith(".pdf")).map((name) => createReadStream(join(folder, name)));
const batch = await client.vectorStores.fileBatches.uploadAndPoll(store.id, {files});
assert.deepEqual([batch.status, batch.file_counts.completed], ["completed", 3]);
const names = new Map();
for await (const {id} of client.vectorStores.files.list(store.id)) names.set(id, (await client.files.retrieve(id)).filename);
console.log(`  indexed ${[...names.values()].sort().join(", ")}`);
const assistant = await client.beta.assistants.create({
    model,
    tools: [{type: "file_search", file_search: {max_num_results: 3}}],
    tool_resources: {file_search: {vector_store_ids: [store.id]}},
    temperature: 0.01
});
for (const {question, file} of questions) {
    const thread = await threads.create({messages: [{role: "user", content: question}]});
    // So small a model does not come upon searching by itself.
    const stream = threads.runs.stream(thread.id, {assistant_id: assistant.id, tool_choice: {type: "file_search"}});
    const run = await stream.finalRun();
    assert.equal(run.status, "completed", JSON.stringify(run.last_error));
    const {data: [first]} = await threads.runs.steps.list(run.id, {thread_id: thread.id, order: "asc", include: [content]});
    const {results} = first.step_details.tool_calls[0].file_search;
    const [message] = await stream.finalMessages();
    const {value, annotations: [cited, ...others]} = message.content[0].text;
    assert.equal(others.length, 0);
    // Offsets count code points.
    assert.equal([...value].slice(cited.start_index, cited.end_index).join(""), cited.text);
    assert.equal(names.get(cited.file_citation.file_id), file, `${question} ${value}`);
    assert.ok(results.some((found) => found.file_id === cited.file_citation.file_id && found.content.length > 0));
    console.log(`  Q: ${question}\n  A: ${value}`);
}
await client.beta.assistants.delete(assistant.id);
await client.vectorStores.delete(store.id);
for (const id of names.keys()) await client.files.delete(id);
