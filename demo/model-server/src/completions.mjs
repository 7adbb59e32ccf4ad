// POST /v1/chat/completions, streamed and whole.

import {randomUUID} from "node:crypto";

import {parseChatRequest} from "./chat-request.mjs";
import {ApiError} from "./errors.mjs";
import {sendJson} from "./json.mjs";

/** Answers one request; the generation stops when the client goes away. */
export async function complete(model, queue, body, response) {
    const {messages, stream, includeUsage, sampling} = parseChatRequest(body);
    if (queue.full) throw new ApiError(503, "Too many requests are waiting for the model. Try again in a while.");

    const gone = new AbortController();
    response.once("close", () => gone.abort());
    const answer = stream ? new StreamedAnswer(model, response, includeUsage) : new WholeAnswer(model, response);

    await queue.run(async () => {
        if (gone.signal.aborted) return;
        const result = await model.generate(messages, sampling, {
            signal: gone.signal,
            onText: (text) => answer.text(text)
        });
        if (result.finishReason !== "aborted") answer.end(result);
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
        sendJson(this.#response, 200, {
            ...envelope("chat.completion", this.#model),
            choices: [{
                index: 0,
                message: {role: "assistant", content: result.text, refusal: null},
                logprobs: null,
                finish_reason: result.finishReason
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
