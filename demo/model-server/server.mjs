#!/usr/bin/env node
// Serves one GGUF model on loopback in the shape of the OpenAI API, so that the
// demo has a real language model without an account anywhere.
//
//   node server.mjs --model FILE [--name NAME] [--port 0] [--threads 1] [--context 4096]
//
// Prints `model server listening on http://127.0.0.1:PORT` as its first line once
// the model answers. Everything else goes to stderr. SIGTERM and SIGINT stop it.

import {basename} from "node:path";
import {parseArgs} from "node:util";

import {createServer} from "./src/http.mjs";
import {LocalModel} from "./src/model.mjs";

const USAGE = "usage: node server.mjs --model FILE [--name NAME] [--port 0] [--threads 1] [--context 4096]";

function fail(message, code = 1) {
    process.stderr.write(`model server: ${message}\n`);
    process.exit(code);
}

function integer(flag, text, lowest, highest) {
    const value = Number(text);
    if (!Number.isInteger(value) || value < lowest || value > highest)
        fail(`--${flag} must be an integer from ${lowest} to ${highest}, got '${text}'\n${USAGE}`, 2);
    return value;
}

function options() {
    let values;
    try {
        ({values} = parseArgs({
            options: {
                model: {type: "string"},
                name: {type: "string"},
                port: {type: "string", default: "0"},
                threads: {type: "string", default: "1"},
                context: {type: "string", default: "4096"}
            }
        }));
    } catch (error) {
        fail(`${error.message}\n${USAGE}`, 2);
    }
    if (values.model === undefined) fail(`--model is missing\n${USAGE}`, 2);
    return {
        path: values.model,
        name: values.name ?? basename(values.model, ".gguf"),
        port: integer("port", values.port, 0, 65535),
        threads: integer("threads", values.threads, 1, 64),
        contextSize: integer("context", values.context, 256, 131072)
    };
}

const {port, ...settings} = options();
const model = await LocalModel.load(settings).catch((error) => fail(`cannot load the model: ${error.message}`));
const server = createServer(model);

server.on("error", (error) => fail(`cannot listen on port ${port}: ${error.message}`));
server.listen(port, "127.0.0.1", () => {
    process.stdout.write(`model server listening on http://127.0.0.1:${server.address().port}\n`);
});

// The process owns nothing that outlives it, and the native code may be in the
// middle of a token: leaving at once is the clean way out.
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(0));
