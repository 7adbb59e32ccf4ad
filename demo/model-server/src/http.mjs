// The three routes of the model server, and the one place where errors are answered.

import http from "node:http";

import {complete} from "./completions.mjs";
import {ApiError} from "./errors.mjs";
import {readJson, sendJson} from "./json.mjs";
import {Queue} from "./queue.mjs";

/** `model` is a `LocalModel`, or anything with its `name`, `created` and `generate`. */
export function createServer(model, queue = new Queue()) {
    const routes = {
        "/health": {GET: (request, response) => sendJson(response, 200, {status: "ok", waiting: queue.length})},
        "/v1/models": {GET: (request, response) => sendJson(response, 200, {object: "list", data: [modelObject(model)]})},
        "/v1/chat/completions": {
            POST: async (request, response) => complete(model, queue, await readJson(request), response)
        }
    };
    return http.createServer(async (request, response) => {
        try {
            await route(routes, request)(request, response);
        } catch (error) {
            answerError(response, error);
        }
    });
}

function route(routes, {method, url}) {
    const path = url.split("?", 1)[0];
    const methods = Object.hasOwn(routes, path) ? routes[path] : undefined;
    if (methods === undefined) throw new ApiError(404, `Invalid URL (${method} ${path})`);
    if (!Object.hasOwn(methods, method)) {
        throw new ApiError(405, `Not allowed to ${method} on ${path}.`, {code: "method_not_supported"});
    }
    return methods[method];
}

function modelObject(model) {
    return {id: model.name, object: "model", created: model.created, owned_by: "local"};
}

function answerError(response, error) {
    const known = error instanceof ApiError;
    if (!known && !response.destroyed) process.stderr.write(`model server: ${error.stack}\n`);
    if (response.headersSent) {
        response.destroy();
        return;
    }
    const answer = known ? error : new ApiError(500, "The model failed to answer.");
    // A body that was not read to its end leaves the connection unusable.
    if (answer.status === 413) response.setHeader("connection", "close");
    sendJson(response, answer.status, answer.body);
}
