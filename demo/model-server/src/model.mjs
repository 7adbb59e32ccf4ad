// The model itself: node-llama-cpp on the CPU, one generation at a time.

import {getLlama, LlamaChat} from "node-llama-cpp";

import {badRequest} from "./errors.mjs";

const DEFAULT_MAX_TOKENS = 512;

// Left to itself, a model this small repeats a sentence until its context is full.
const REPEAT_PENALTY = {penalty: 1.1, lastTokens: 128};

export class LocalModel {
    #chat;
    #contextSize;

    constructor(name, chat, contextSize) {
        this.name = name;
        this.created = Math.floor(Date.now() / 1000);
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
        return new LocalModel(name, chat, context.contextSize);
    }

    /**
     * Answers a conversation of `{role, text}`; `onText` gets the words as they come.
     * Resolves to `{text, finishReason: "stop" | "length" | "aborted", promptTokens, completionTokens}`.
     * Must not be called again before it has settled: see `queue.mjs`.
     */
    async generate(messages, {temperature = 0.7, topP = 0.95, seed, maxTokens, stop = []}, {onText, signal}) {
        const history = [...messages.map(historyItem), {type: "model", response: []}];
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
            repeatPenalty: REPEAT_PENALTY,
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
