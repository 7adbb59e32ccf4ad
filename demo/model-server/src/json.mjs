import {ApiError, badRequest} from "./errors.mjs";

const MAX_BODY_BYTES = 1 << 20;

/** Reads and decodes the whole body; `ApiError` when it is too large or not JSON. */
export async function readJson(request) {
    const chunks = [];
    let size = 0;
    for await (const chunk of request) {
        size += chunk.length;
        if (size > MAX_BODY_BYTES) throw new ApiError(413, `The body is larger than ${MAX_BODY_BYTES} bytes.`);
        chunks.push(chunk);
    }
    try {
        return JSON.parse(Buffer.concat(chunks).toString("utf8"));
    } catch (error) {
        throw badRequest(`The body is not valid JSON: ${error.message}`);
    }
}

export function sendJson(response, status, body) {
    response.writeHead(status, {"content-type": "application/json"});
    response.end(`${JSON.stringify(body)}\n`);
}
