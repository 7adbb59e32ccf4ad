// POST /v1/chat/completions, streamed and whole.

import {randomUUID} from "node:crypto";

import {parseChatRequest} from "./chat-request.mjs";
import {ApiError} from "./errors.mjs";
import {sendJson} from "./json.mjs";

/** Answers one request; the generation stops when the client goes away. */
export async function complete(model, queue, body, response) {
    const {messages, call, stream, includeUsage, sampling} = parseChatRequest(body);
    if (queue.full) throw new ApiError(503, "Too many requests are waiting for the model. Try again in a while.");

    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const answer = stream ? new StreamedAnswer(model, response, includeUsage) : new WholeAnswer(model, response);
    const callId = `call_${randomUUID()}`;

    await queue.run(async () => {
        if (gone.signal.aborted) return;
        const result = await model.generate(messages, sampling, {
            call,
            signal: gone.signal,
            // A call is given as one, once its arguments are complete.
            onText: (text) => call === undefined && answer.text(text)
        });
        if (result.finishReason === "aborted") return;
        if (call === undefined) answer.end(result);
        else answer.call(result, {id: callId, type: "function", function: {name: call.name, arguments: result.text}});
    });
}

class WholeAnswer {
    #model;
    #response;

    constructor(model, response) {
        this.#model = model;
        this.#response = response;
    }

    text() {}

    end(result) {
        this.#send(result, {content: result.text}, result.finishReason);
    }

    call(result, call) {
        this.#send(result, {content: null, tool_calls: [call]}, "tool_calls");
    }

    #send(result, said, finish_reason) {
        sendJson(this.#response, 200, {
            ...envelope("chat.completion", this.#model),
            choices: [{
                index: 0,
                message: {role: "assistant", ...said, refusal: null},
                logprobs: null,
                finish_reason
            }],
            usage: usage(result)
        });
    }
}

// The status line is written with the first words, so that an error found
// before them is still an ordinary JSON error.
class StreamedAnswer {
    #response;
    #envelope;
    #includeUsage;

    constructor(model, response, includeUsage) {
        this.#response = response;
        this.#envelope = envelope("chat.completion.chunk", model);
        this.#includeUsage = includeUsage;
    }

    text(content) {
        this.#begin();
        this.#delta({content}, null);
    }

    call(result, call) {
        this.#begin();
        this.#delta({tool_calls: [{index: 0, ...call}]}, null);
        this.end({...result, finishReason: "tool_calls"});
    }

    end(result) {
        this.#begin();
        this.#delta({}, result.finishReason);
        if (this.#includeUsage) this.#send({choices: [], usage: usage(result)});
        this.#response.end("data: [DONE]\n\n");
    }

    #begin() {
        if (this.#response.headersSent) return;
        this.#response.writeHead(200, {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache"
        });
        this.#delta({role: "assistant", content: ""}, null);
    }

    #delta(delta, finish_reason) {
        this.#send({choices: [{index: 0, delta, logprobs: null, finish_reason}], ...(this.#includeUsage && {usage: null})});
    }

    #send(fields) {
        this.#response.write(`data: ${JSON.stringify({...this.#envelope, ...fields})}\n\n`);
    }
}

function envelope(object, model) {
    return {id: `chatcmpl-${randomUUID()}`, object, created: Math.floor(Date.now() / 1000), model: model.name};
}

function usage({promptTokens, completionTokens}) {
    return {
        prompt_tokens: promptTokens,
        completion_tokens: completionTokens,
        total_tokens: promptTokens + completionTokens
    };
}
