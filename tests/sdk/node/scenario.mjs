// Situations that the tests start from, and the event sequences of contract section 10. The model is the
// built-in `echo`: it answers with the last user message, `/echo` lines tell it what else to do.

import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { CLIENTS } from './clients.mjs';
import { FIRST_KEY, SECOND_KEY, startServer } from './server.mjs';

export const POLL = { pollIntervalMs: 10 };

/**
 * The same tests for each SDK, on one server. `tests(context)` registers them; `context.client` (first
 * workspace), `stranger` (second workspace), `intruder` (unknown key) are there once they run.
 */
export function forEachClient(tests) {
  let server;
  before(async () => {
    server = await startServer();
  });
  after(() => server.stop());
  for (const [name, make] of Object.entries(CLIENTS)) {
    describe(name, () => {
      const context = {};
      before(() => {
        context.baseURL = server.baseURL;
        context.client = make(server.baseURL, FIRST_KEY);
        context.stranger = make(server.baseURL, SECOND_KEY);
        context.intruder = make(server.baseURL, 'lg-nobody-gave-this-key-out');
      });
      tests(context);
    });
  }
}

export function functionTool(name) {
  const parameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
  return { type: 'function', function: { name, description: `Tells the ${name}.`, parameters } };
}

export async function newAssistant(client, fields = {}) {
  const tools = [functionTool('weather'), functionTool('clock')];
  return (await client.beta.assistants.create({ model: 'echo', name: 'tester', tools, ...fields })).id;
}

/** A thread with one user message of these lines. */
export async function newThread(client, ...lines) {
  return (await client.beta.threads.create({ messages: [{ role: 'user', content: lines.join('\n') }] })).id;
}

/** A run on a new thread, just created. */
export async function startRun(client, lines, fields = {}) {
  const thread_id = await newThread(client, ...lines);
  const run = await client.beta.threads.runs.create(thread_id, { assistant_id: await newAssistant(client), ...fields });
  return { thread_id, run_id: run.id };
}

export function settled(client, { thread_id, run_id }) {
  return client.beta.threads.runs.poll(run_id, { thread_id }, ...client.options(POLL));
}

async function runIn(client, status, lines, fields) {
  const ids = await startRun(client, lines, fields);
  assert.equal((await settled(client, ids)).status, status);
  return ids;
}

export const completedRun = (client, fields) => runIn(client, 'completed', ['All is well.'], fields);

const CALL = '/echo call weather {"city":"Oslo"}';

export const waitingRun = (client, fields, calls = [CALL]) => runIn(client, 'requires_action', calls, fields);

export async function cancelledRun(client, fields) {
  const ids = await waitingRun(client, fields);
  await client.beta.threads.runs.cancel(ids.run_id, { thread_id: ids.thread_id });
  assert.equal((await settled(client, ids)).status, 'cancelled');
  return ids;
}

export const toolCalls = (run) => run.required_action.submit_tool_outputs.tool_calls;

/** Tool outputs by function name, for every pending call. */
export function outputsFor(run, outputs) {
  return toolCalls(run).map((call) => ({ tool_call_id: call.id, output: outputs[call.function.name] }));
}

export const textOf = (message) => message.content[0].text.value;

/** The thread's texts, oldest first. */
export async function threadTexts(client, thread_id) {
  const list = (query) => client.beta.threads.messages.list(thread_id, { order: 'asc', limit: 100, ...query });
  return (await client.every(list)).map(textOf);
}

/** Event names in order, runs of deltas drawn together into one. */
export function names(events) {
  const found = [];
  for (const { event } of events) {
    if (!(event.endsWith('.delta') && found.at(-1) === event)) found.push(event);
  }
  return found;
}

/** Asserts that `call` rejects with the SDK's class for `status` and these fields of the error body. */
export async function refused(client, call, status, fields) {
  const Expected = { 400: 'BadRequestError', 401: 'AuthenticationError', 404: 'NotFoundError' }[status];
  await assert.rejects(call, (error) => {
    assert.equal(error.constructor.name, Expected, error.stack);
    assert.ok(error instanceof client.errors[Expected]);
    assert.equal(error.status, status);
    assert.deepEqual(error.error, { type: 'invalid_request_error', param: null, code: null, ...fields });
    return true;
  });
}

export const RUN_STARTS = ['thread.run.created', 'thread.run.queued', 'thread.run.in_progress'];
export const RUN_RESUMES = ['thread.run.queued', 'thread.run.in_progress'];
const STEP_OPENS = ['thread.run.step.created', 'thread.run.step.in_progress'];
export const MESSAGE_OPENS = [
  ...STEP_OPENS,
  'thread.message.created',
  'thread.message.in_progress',
  'thread.message.delta',
];
export const MESSAGE_STEP = [...MESSAGE_OPENS, 'thread.message.completed', 'thread.run.step.completed'];
export const TEXT_RUN = [...RUN_STARTS, ...MESSAGE_STEP, 'thread.run.completed', 'done'];
export const CALLS_WAIT = [...STEP_OPENS, 'thread.run.step.delta', 'thread.run.requires_action', 'done'];
export const AFTER_OUTPUTS = [
  'thread.run.step.completed',
  ...RUN_RESUMES,
  ...MESSAGE_STEP,
  'thread.run.completed',
  'done',
];
