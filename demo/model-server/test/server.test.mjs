// The HTTP side against a scripted model: no GGUF file is needed.

import assert from "node:assert/strict";
import {once} from "node:events";
import {after, test} from "node:test";

import {createServer} from "../src/http.mjs";

/** Says `words` one by one, waiting for `gate` (if any) before each word. */
class ScriptedModel {
    name = "scripted";
    created = 1;
    calls = [];
    running = 0;
    mostAtOnce = 0;

    constructor(words, {gate, finishReason = "stop"} = {}) {
        Object.assign(this, {words, gate, finishReason});
    }

    async generate(messages, sampling, {call, onText, signal}) {
        this.calls.push({messages, sampling, call});
        this.mostAtOnce = Math.max(this.mostAtOnce, ++this.running);
        try {
            for (const word of this.words) {
                onText(word);
                await this.gate?.(signal);
                if (signal.aborted) return {finishReason: "aborted"};
            }
            return {text: this.words.join(""), finishReason: this.finishReason, promptTokens: 7, completionTokens: this.words.length};
        } finally {
            this.running -= 1;
        }
    }
}

async function serve(model) {
    const server = createServer(model);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    after(() => server.close());
    const url = `http://127.0.0.1:${server.address().port}`;
    const post = (body, init = {}) => fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body: typeof body === "string" ? body : JSON.stringify(body),
        ...init
    });
    return {url, post};
}

const hello = [{role: "user", content: "Hello"}];
const clock = {type: "function", function: {name: "clock", parameters: {type: "object", properties: {zone: {type: "string"}}}}};

test("a whole answer has its text, its finish reason and its usage", async () => {
    const model = new ScriptedModel(["Good ", "day"], {finishReason: "length"});
    const {post} = await serve(model);
    const answer = await (await post({messages: hello, temperature: 0, top_p: 0.5, max_tokens: 9, max_completion_tokens: 2})).json();
    assert.equal(answer.object, "chat.completion");
    assert.deepEqual(answer.choices[0].message, {role: "assistant", content: "Good day", refusal: null});
    assert.equal(answer.choices[0].finish_reason, "length");
    assert.deepEqual(answer.usage, {prompt_tokens: 7, completion_tokens: 2, total_tokens: 9});
    const {maxTokens, temperature, topP} = model.calls[0].sampling;
    assert.deepEqual({maxTokens, temperature, topP}, {maxTokens: 2, temperature: 0, topP: 0.5});
});

test("a stream gives role, words, finish reason, usage, [DONE]", async () => {
    const {post} = await serve(new ScriptedModel(["Good ", "day"]));
    const response = await post({messages: hello, stream: true, stream_options: {include_usage: true}});
    assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const events = (await response.text()).trim().split("\n\n").map((event) => event.replace(/^data: /, ""));
    assert.equal(events.pop(), "[DONE]");
    const chunks = events.map((event) => JSON.parse(event));
    assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
    assert.deepEqual(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta)), [
        {role: "assistant", content: ""}, {content: "Good "}, {content: "day"}, {}
    ]);
    assert.equal(chunks.at(-2).choices[0].finish_reason, "stop");
    assert.deepEqual(chunks.at(-1).choices, []);
    assert.equal(chunks.at(-1).usage.total_tokens, 9);
});

test("a function is called with what the model says, as one piece", async () => {
    const model = new ScriptedModel(['{"zone": ', '"UTC"}']);
    const {post} = await serve(model);
    const named = {type: "function", function: {name: "clock"}};
    const {choices: [choice]} = await (await post({messages: hello, tools: [clock], tool_choice: named})).json();
    assert.equal(choice.finish_reason, "tool_calls");
    assert.equal(choice.message.content, null);
    assert.deepEqual(choice.message.tool_calls.map(({function: called}) => called), [{name: "clock", arguments: '{"zone": "UTC"}'}]);
    assert.equal(model.calls[0].call.name, "clock");

    const response = await post({messages: hello, tools: [clock], tool_choice: "required", stream: true});
    const events = (await response.text()).trim().split("\n\n").map((event) => event.replace(/^data: /, ""));
    const chunks = events.slice(0, -1).map((event) => JSON.parse(event).choices[0]);
    assert.deepEqual(chunks.map(({delta}) => Object.keys(delta)), [["role", "content"], ["tool_calls"], []]);
    assert.equal(chunks[1].delta.tool_calls[0].function.arguments, '{"zone": "UTC"}');
    assert.equal(chunks.at(-1).finish_reason, "tool_calls");
});

test("with results of a function, or without a choice, the model answers", async () => {
    const model = new ScriptedModel(["noon"]);
    const {post} = await serve(model);
    const called = [
        ...hello,
        {role: "assistant", content: null, tool_calls: [{id: "c", type: "function", function: {name: "clock", arguments: "{}"}}]},
        {role: "tool", tool_call_id: "c", content: "12:00"}
    ];
    for (const body of [{messages: called, tools: [clock]}, {messages: hello, tools: [clock], tool_choice: "none"}]) {
        const {choices: [{message}]} = await (await post(body)).json();
        assert.equal(message.content, "noon");
    }
    assert.deepEqual(model.calls.map(({call}) => call), [undefined, undefined]);
    assert.deepEqual(model.calls[0].messages.at(-1), {role: "tool", text: "12:00"});
});

test("requests wait for each other and are served in order", async () => {
    const model = new ScriptedModel(["one ", "two"], {gate: () => new Promise(setImmediate)});
    const {post} = await serve(model);
    const answers = await Promise.all([1, 2, 3, 4].map((n) => post({messages: [{role: "user", content: `${n}`}]})));
    assert.deepEqual(answers.map((answer) => answer.status), [200, 200, 200, 200]);
    assert.equal(model.calls.length, 4);
    assert.equal(model.mostAtOnce, 1);
});

test("a client that goes away stops its generation and frees the model", {timeout: 20_000}, async () => {
    const aborted = (signal) => signal.aborted ? undefined : once(signal, "abort");
    const model = new ScriptedModel(["endless "], {gate: aborted});
    const {post} = await serve(model);
    const leaving = new AbortController();
    const response = await post({messages: hello, stream: true}, {signal: leaving.signal});
    await response.body.getReader().read();
    leaving.abort();
    model.gate = undefined;
    assert.equal((await post({messages: hello})).status, 200);
    assert.equal(model.mostAtOnce, 1);
});

test("what cannot be served is refused with the parameter's name", async () => {
    const model = new ScriptedModel(["never"]);
    const {post, url} = await serve(model);
    const cases = [
        ["{", 400, null],
        [[], 400, null],
        [{}, 400, "messages"],
        [{messages: []}, 400, "messages"],
        [{messages: [{role: "function", content: "x"}]}, 400, "messages[0].role"],
        [{messages: [{role: "user", content: null}]}, 400, "messages[0].content"],
        [{messages: [{role: "user", content: [{type: "image_url"}]}]}, 400, "messages[0].content[0]"],
        [{messages: hello, temperature: 3}, 400, "temperature"],
        [{messages: hello, top_p: "1"}, 400, "top_p"],
        [{messages: hello, max_tokens: 1.5}, 400, "max_tokens"],
        [{messages: hello, stop: ["a", "b", "c", "d", "e"]}, 400, "stop"],
        [{messages: hello, n: 2}, 400, "n"],
        [{messages: hello, tools: {}}, 400, "tools"],
        [{messages: hello, tools: [{type: "function"}]}, 400, "tools[0]"],
        [{messages: hello, tools: [clock]}, 400, "tool_choice"],
        [{messages: hello, tools: [clock], tool_choice: {type: "function", function: {name: "other"}}}, 400, "tool_choice"],
        [{messages: hello, tools: [clock, {...clock, function: {name: "b"}}], tool_choice: "required"}, 400, "tool_choice"],
        [{messages: hello, response_format: {type: "json_object"}}, 400, "response_format"],
        [" ".repeat((1 << 20) + 1), 413, null]
    ];
    for (const [body, status, param] of cases) {
        const response = await post(body);
        const {error} = await response.json();
        assert.deepEqual([response.status, error.param, error.type], [status, param, "invalid_request_error"], JSON.stringify(body).slice(0, 80));
        assert.ok(error.message.length > 10);
    }
    assert.equal((await fetch(`${url}/v1/nothing`)).status, 404);
    assert.equal((await fetch(`${url}/v1/chat/completions`)).status, 405);
    assert.equal(model.calls.length, 0);
});

test("GET /v1/models and GET /health", async () => {
    const {url} = await serve(new ScriptedModel([]));
    assert.deepEqual(await (await fetch(`${url}/v1/models`)).json(), {
        object: "list",
        data: [{id: "scripted", object: "model", created: 1, owned_by: "local"}]
    });
    assert.deepEqual(await (await fetch(`${url}/health`)).json(), {status: "ok", waiting: 0});
});
