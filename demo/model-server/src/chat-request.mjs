// The body of POST /v1/chat/completions: what is understood, what is refused.

import {badRequest} from "./errors.mjs";

const ROLES = new Map([
    ["system", "system"],
    ["developer", "system"],
    ["user", "user"],
    ["assistant", "assistant"],
    ["tool", "tool"]
]);

/**
 * Checks a decoded body and returns
 * `{messages: [{role, text}], call?: {name, parameters}, stream, includeUsage, sampling: {temperature?, topP?, seed?, maxTokens?, stop}}`.
 * `call` is the function that the answer has to call.
 * Throws `ApiError` (400) naming the parameter that cannot be served.
 */
export function parseChatRequest(body) {
    if (!isObject(body)) throw badRequest("The body must be a JSON object.");
    refuseWhatTheModelCannotDo(body);
    const stream = optional(body, "stream", "boolean") ?? false;
    const messages = parseMessages(body.messages);
    return {
        messages,
        call: parseCall(body, messages.some(({role}) => role === "tool")),
        stream,
        includeUsage: stream && body.stream_options?.include_usage === true,
        sampling: {
            temperature: number(body, "temperature", 0, 2),
            topP: number(body, "top_p", 0, 1),
            seed: integer(body, "seed", Number.MIN_SAFE_INTEGER),
            maxTokens: integer(body, "max_completion_tokens", 1) ?? integer(body, "max_tokens", 1),
            stop: parseStop(body.stop)
        }
    };
}

// A silent "yes" to a parameter that has no effect would be worse than a refusal.
function refuseWhatTheModelCannotDo(body) {
    if ((body.n ?? 1) !== 1)
        throw badRequest("Only one choice per request is made: 'n' must be 1.", "n", "unsupported_value");
    if (!["text", undefined].includes(body.response_format?.type))
        throw badRequest("Only plain text is made: 'response_format' must be of type 'text'.", "response_format", "unsupported_value");
}

// A model this small cannot decide whether to call a function: it is told to, once, or answers with what functions gave.
function parseCall(body, hasResults) {
    const tools = body.tools ?? [];
    if (!Array.isArray(tools)) throw badRequest("Invalid type for 'tools': expected an array.", "tools", "invalid_type");
    const functions = tools.map((tool, index) => {
        if (tool?.type !== "function" || typeof tool.function?.name !== "string")
            throw badRequest(`Invalid value for 'tools[${index}]': only functions are understood.`, `tools[${index}]`, "invalid_value");
        return {name: tool.function.name, parameters: tool.function.parameters ?? {type: "object", properties: {}}};
    });
    const choice = body.tool_choice ?? "auto";
    if (choice === "none" || functions.length === 0) return undefined;
    if (choice === "auto") {
        if (hasResults) return undefined;
        throw badRequest("This small model does not decide by itself: name a function in 'tool_choice'.", "tool_choice", "unsupported_value");
    }
    const named = choice === "required" && functions.length === 1 ? functions[0].name : choice.function?.name;
    const call = functions.find(({name}) => name === named);
    if (call === undefined)
        throw badRequest("Invalid value for 'tool_choice': expected one of the functions of 'tools'.", "tool_choice", "invalid_value");
    return call;
}

function parseMessages(messages) {
    if (!Array.isArray(messages)) throw badRequest("Missing required parameter: 'messages'.", "messages", "missing_required_parameter");
    if (messages.length === 0) throw badRequest("Invalid 'messages': empty array. Expected at least one message.", "messages", "empty_array");
    return messages.map((message, index) => {
        const at = `messages[${index}]`;
        if (!isObject(message)) throw badRequest(`Invalid type for '${at}': expected an object.`, at, "invalid_type");
        const role = ROLES.get(message.role);
        if (role === undefined)
            throw badRequest(`Invalid value for '${at}.role'. Supported values are: 'system', 'developer', 'user', 'assistant', and 'tool'.`, `${at}.role`, "invalid_value");
        // What the model said where it called a function: nothing.
        const content = Array.isArray(message.tool_calls) ? message.content ?? "" : message.content;
        return {role, text: parseContent(content, `${at}.content`)};
    });
}

function parseContent(content, at) {
    if (typeof content === "string") return content;
    if (!Array.isArray(content))
        throw badRequest(`Invalid type for '${at}': expected one of a string or array of objects.`, at, "invalid_type");
    return content.map((part, index) => {
        if (part?.type !== "text" || typeof part.text !== "string")
            throw badRequest(`Invalid value for '${at}[${index}]': only parts of type 'text' are understood.`, `${at}[${index}]`, "invalid_value");
        return part.text;
    }).join("\n");
}

function parseStop(stop) {
    if (stop === undefined || stop === null) return [];
    const list = Array.isArray(stop) ? stop : [stop];
    if (list.length > 4 || list.some((text) => typeof text !== "string" || text === ""))
        throw badRequest("Invalid 'stop': expected a string or up to 4 strings, none of them empty.", "stop", "invalid_value");
    return list;
}

function optional(body, name, type) {
    const value = body[name] ?? undefined;
    if (value !== undefined && typeof value !== type)
        throw badRequest(`Invalid type for '${name}': expected a ${type}.`, name, "invalid_type");
    return value;
}

function number(body, name, lowest, highest = Infinity) {
    const value = optional(body, name, "number");
    if (value !== undefined && (value < lowest || value > highest))
        throw badRequest(`Invalid '${name}': expected a value from ${lowest} to ${highest}, but got ${value} instead.`, name, "invalid_value");
    return value;
}

function integer(body, name, lowest) {
    const value = number(body, name, lowest);
    if (value !== undefined && !Number.isSafeInteger(value))
        throw badRequest(`Invalid type for '${name}': expected an integer.`, name, "invalid_type");
    return value;
}

function isObject(value) {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
