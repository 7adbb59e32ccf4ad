// The model itself: node-llama-cpp on the CPU, one generation at a time.

import {getLlama, LlamaChat} from "node-llama-cpp";

import {badRequest} from "./errors.mjs";
import {citing, conversation} from "./prompt.mjs";

const DEFAULT_MAX_TOKENS = 512;

// Left to itself, a model this small repeats a sentence until its context is full.
const REPEAT_PENALTY = {penalty: 1.1, lastTokens: 128};

export class LocalModel {
    #llama;
    #chat;
    #contextSize;

    constructor(name, llama, chat, contextSize) {
        this.name = name;
        this.created = Math.floor(Date.now() / 1000);
        this.#llama = llama;
        this.#chat = chat;
        this.#contextSize = contextSize;
    }

    /** Loads the GGUF file at `path`; nothing is built, nothing is downloaded. */
    static async load({path, name, threads, contextSize}) {
        const llama = await getLlama({
            gpu: false,
            build: "never",
            skipDownload: true,
            progressLogs: false,
            logLevel: "error",
            maxThreads: threads
        });
        const weights = await llama.loadModel({modelPath: path});
        const context = await weights.createContext({
            contextSize: Math.min(contextSize, weights.trainContextSize),
            threads
        });
        const chat = new LlamaChat({contextSequence: context.getSequence()});
        return new LocalModel(name, llama, chat, context.contextSize);
    }

    /**
     * Answers a conversation of `{role, text}`; `onText` gets the words as they come. With `call` the text is the arguments of
     * that function, as JSON that keeps to its `parameters`.
     * Resolves to `{text, finishReason: "stop" | "length" | "aborted", promptTokens, completionTokens}`.
     * Must not be called again before it has settled: see `queue.mjs`.
     */
    async generate(messages, {temperature = 0.7, topP = 0.95, seed, maxTokens, stop = []}, {call, onText, signal}) {
        const history = [...conversation(messages, call).map(historyItem), {type: "model", response: []}];
        const grammar = await this.#grammar(messages, call);
        const promptTokens = this.#countTokens(history);
        const room = this.#contextSize - promptTokens;
        if (room < 1) {
            throw badRequest(
                `This model's maximum context length is ${this.#contextSize} tokens. However, your messages resulted in ${promptTokens} tokens.`,
                "messages",
                "context_length_exceeded"
            );
        }
        let completionTokens = 0;
        const result = await this.#chat.generateResponse(history, {
            temperature,
            topP,
            seed,
            maxTokens: Math.min(maxTokens ?? DEFAULT_MAX_TOKENS, room),
            customStopTriggers: stop,
            grammar,
            // The words of a call are those of the question once more.
            repeatPenalty: call === undefined ? REPEAT_PENALTY : false,
            signal,
            stopOnAbortSignal: true,
            onTextChunk: onText,
            onToken: (tokens) => {
                completionTokens += tokens.length;
            }
        });
        return {
            text: result.response,
            finishReason: finishReason(result.metadata.stopReason),
            promptTokens,
            completionTokens
        };
    }

    /** What the answer is held to, if it is to anything. */
    async #grammar(messages, call) {
        if (call !== undefined) return await this.#llama.createGrammarForJsonSchema(call.parameters);
        const grammar = citing(messages);
        return grammar && await this.#llama.createGrammar({grammar});
    }

    #countTokens(chatHistory) {
        const {contextText} = this.#chat.chatWrapper.generateContextState({chatHistory});
        return contextText.tokenize(this.#chat.model.tokenizer).length;
    }
}

function historyItem({role, text}) {
    return role === "assistant" ? {type: "model", response: [text]} : {type: role, text};
}

function finishReason(stopReason) {
    if (stopReason === "maxTokens") return "length";
    return stopReason === "abort" ? "aborted" : "stop";
}
