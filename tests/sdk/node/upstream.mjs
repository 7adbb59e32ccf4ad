// A provider that speaks like OpenAI, counts what it is sent, and answers as it is told: `upstream.py` in Node.

import { createServer } from 'node:http';

const MODEL = { id: 'gpt-4o', object: 'model', created: 1715367049, owned_by: 'system' };
const USAGE = { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 };
const HEAD = { id: 'chatcmpl-upstream', created: 1761861536 };

/** An error of the provider's, to be scripted. */
export function failure(status, message = 'scripted', headers = {}) {
  return { status, headers, body: { error: { message, type: 'server_error', param: null, code: null } } };
}

/** A streamed answer that comes in these pieces. */
export function saying(...words) {
  return { status: 200, events: chunksOf('gpt-4o', words.map((content) => ({ content })), 'stop', true) };
}

/** A streamed call of a function. */
export function calling(name, args) {
  const call = { index: 0, id: 'call_1', type: 'function', function: { name, arguments: JSON.stringify(args) } };
  return { status: 200, events: chunksOf('gpt-4o', [{ tool_calls: [call] }], 'tool_calls', true) };
}

/**
 * `url` ends in `/v1`; `requests` is what came since the last `reset()`; `script()` puts answers, or functions that make
 * one (or a promise of one) of the request, before the usual. It has every run that is modified.
 */
export async function startUpstream() {
  const requests = [];
  const replies = [];
  const server = createServer(async (incoming, outgoing) => {
    let text = '';
    for await (const chunk of incoming) text += chunk;
    const { method, url: path, headers } = incoming;
    const request = { method, path, headers, body: text ? JSON.parse(text) : null };
    requests.push(request);
    const reply = replies.shift();
    send(outgoing, (typeof reply === 'function' ? await reply(request) : reply) ?? usual(request));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    requests,
    script: (...more) => replies.push(...more),
    reset() {
      requests.length = 0;
      replies.length = 0;
    },
    stop: () => (server.closeAllConnections(), new Promise((resolve) => server.close(resolve))),
  };
}

function send(outgoing, { status, headers, body, events }) {
  const kind = events ? 'text/event-stream; charset=utf-8' : 'application/json';
  outgoing.writeHead(status, { 'content-type': kind, 'x-request-id': 'req_of_the_upstream', ...headers });
  for (const event of events ?? []) outgoing.write(`data: ${event}\n\n`);
  outgoing.end(events ? undefined : JSON.stringify(body));
}

/** The answer to a request that nobody scripted. */
function usual({ method, path, body }) {
  const ok = (value) => ({ status: 200, body: value });
  const [plain] = path.split('?');
  const [, thread_id, id] = plain.match(/^\/v1\/threads\/([^/]+)\/runs\/([^/]+)$/) ?? [];
  if (id) return ok({ id, object: 'thread.run', thread_id, ...body });
  switch (`${method} ${plain}`) {
    case 'POST /v1/chat/completions':
      return body.stream ? { status: 200, events: chunks(body) } : ok(completion(body));
    case 'POST /v1/embeddings':
      return ok(embeddings(body));
    case 'GET /v1/models':
      return ok({ object: 'list', data: [MODEL] });
    default:
      return failure(404, `Invalid URL (${method} ${path})`);
  }
}

/** Words or a call of the first tool, and the finish reason. */
function answer({ tools, messages }) {
  if (!tools?.length) return { words: `You said: ${messages.at(-1).content}`, finish: 'stop' };
  const call = { id: 'call_1', type: 'function', function: { name: tools[0].function.name, arguments: '{"city":"Oslo"}' } };
  return { words: null, call, finish: 'tool_calls' };
}

function completion(body) {
  const { words, call, finish } = answer(body);
  const message = { role: 'assistant', content: words, ...(call && { tool_calls: [call] }) };
  const choices = [{ index: 0, message, finish_reason: finish, logprobs: null }];
  return { ...HEAD, object: 'chat.completion', model: body.model, choices, usage: USAGE };
}

function chunks(body) {
  const { words, call, finish } = answer(body);
  const deltas = [{ role: 'assistant', content: '' }, ...(words?.match(/\S+\s*/g) ?? []).map((content) => ({ content }))];
  if (call) deltas.push({ tool_calls: [{ index: 0, ...call }] });
  return chunksOf(body.model, deltas, finish, body.stream_options?.include_usage);
}

function* chunksOf(model, deltas, finish, usage) {
  const head = { ...HEAD, object: 'chat.completion.chunk', model };
  const choice = (delta, finish_reason) => ({ index: 0, delta, finish_reason, logprobs: null });
  for (const delta of deltas) yield JSON.stringify({ ...head, choices: [choice(delta, null)] });
  yield JSON.stringify({ ...head, choices: [choice({}, finish)] });
  if (usage) yield JSON.stringify({ ...head, choices: [], usage: USAGE });
  yield '[DONE]';
}

function embeddings({ input, model }) {
  const data = [input].flat().map((text, index) => ({ object: 'embedding', index, embedding: [text.length, 0.5] }));
  return { object: 'list', data, model, usage: { prompt_tokens: 2, total_tokens: 2 } };
}
