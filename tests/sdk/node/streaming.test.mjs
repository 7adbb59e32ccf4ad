// Polling and streaming helpers: every event, snapshots, final objects (contract sections 10 and 13).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorder } from './recording.mjs';
import { FIRST_KEY } from './server.mjs';
import {
  AFTER_OUTPUTS,
  CALLS_WAIT,
  MESSAGE_OPENS,
  MESSAGE_STEP,
  POLL,
  RUN_RESUMES,
  RUN_STARTS,
  TEXT_RUN,
  forEachClient,
  functionTool,
  names,
  newAssistant,
  newThread,
  outputsFor,
  refused,
  startRun,
  textOf,
  threadTexts,
  toolCalls,
} from './scenario.mjs';

const CALLBACKS = [
  'event',
  'runStepCreated',
  'runStepDelta',
  'runStepDone',
  'toolCallCreated',
  'toolCallDelta',
  'toolCallDone',
  'messageCreated',
  'messageDelta',
  'messageDone',
  'textCreated',
  'textDelta',
  'textDone',
  'imageFileDone',
  'error',
  'end',
];

/** Writes down every callback of a stream, with copies of its arguments. */
function watch(stream) {
  const calls = [];
  for (const name of CALLBACKS) stream.on(name, (...args) => calls.push([name, structuredClone(args)]));
  return {
    stream,
    names: (...without) => calls.map(([name]) => name).filter((name) => !without.includes(name)),
    of: (name) => calls.filter(([called]) => called === name).map(([, args]) => args),
  };
}

async function streamOf(client, lines, fields = {}) {
  const thread_id = await newThread(client, ...lines);
  const assistant_id = await newAssistant(client);
  const stream = await client.beta.threads.runs.stream(thread_id, { assistant_id, ...fields });
  return { thread_id, ...watch(stream) };
}

const eventsOf = async () => (await recorder.lastStream()).response_sse;

const ROUNDS = ['/echo call weather {"city":"Oslo"}', '/echo then', '/echo call clock {"city":"Oslo"}'];

forEachClient((context) => {
  test('createAndPoll', async () => {
    const { client } = context;
    const thread_id = await newThread(client, 'All done');
    const body = { assistant_id: await newAssistant(client) };
    const run = await client.beta.threads.runs.createAndPoll(thread_id, body, ...client.options(POLL));
    assert.deepEqual([run.status, run.usage.completion_tokens], ['completed', 2]);
  });

  test('the server names the poll interval', async () => {
    const { client } = context;
    const { thread_id, run_id } = await startRun(client, ['/echo pace 5', 'Soon done']);
    const started = Date.now();
    const run = await client.beta.threads.runs.poll(run_id, { thread_id });
    assert.equal(run.status, 'completed');
    assert.ok(Date.now() - started < 5000, 'the SDK fell back to its own 5 seconds');
    for (const { path, response_body, response_headers } of await recorder.settled()) {
      if (path.endsWith(run_id) && ['queued', 'in_progress'].includes(response_body.status)) {
        assert.match(response_headers['openai-poll-after-ms'], /^[0-9]+$/);
      }
    }
  });

  test('createAndRunPoll', async () => {
    const { client } = context;
    const run = await client.beta.threads.createAndRunPoll(
      { assistant_id: await newAssistant(client), thread: { messages: [{ role: 'user', content: 'Both at once' }] } },
      ...client.options(POLL),
    );
    assert.equal(run.status, 'completed');
    assert.deepEqual(await threadTexts(client, run.thread_id), ['Both at once', 'Both at once']);
  });

  test('two rounds of calls, polled', async () => {
    const { client } = context;
    const thread_id = await newThread(client, ...ROUNDS);
    const body = { assistant_id: await newAssistant(client) };
    const { runs } = client.beta.threads;
    let run = await runs.createAndPoll(thread_id, body, ...client.options(POLL));
    for (const outputs of [{ weather: 'rain' }, { clock: 'noon' }]) {
      assert.equal(run.status, 'requires_action');
      const submitted = { thread_id, tool_outputs: outputsFor(run, outputs) };
      run = await runs.submitToolOutputsAndPoll(run.id, submitted, ...client.options(POLL));
    }
    assert.equal(run.status, 'completed');
    assert.equal((await threadTexts(client, thread_id)).at(-1), 'weather returned rain\nclock returned noon');
  });

  test('a text run', async () => {
    const { client } = context;
    const { stream, thread_id, ...calls } = await streamOf(client, ['alpha beta gamma']);
    const run = await stream.finalRun();
    const events = await eventsOf();
    assert.deepEqual(names(events), TEXT_RUN);
    const deltas = events.filter(({ event }) => event === 'thread.message.delta');
    assert.deepEqual(
      deltas.map(({ data }) => data.delta.content[0].text),
      [{ value: 'alpha ', annotations: [] }, { value: 'beta ' }, { value: 'gamma' }],
    );
    assert.deepEqual(calls.names('event'), [
      ...['runStepCreated', 'messageCreated'],
      ...['textCreated', 'messageDelta', 'textDelta'],
      ...['messageDelta', 'textDelta', 'messageDelta', 'textDelta'],
      ...['textDone', 'messageDone', 'runStepDone', 'end'],
    ]);
    assert.deepEqual(
      calls.of('event').map(([{ event }]) => event),
      events.slice(0, -1).map(({ event }) => event),
    );
    const snapshots = calls.of('textDelta').map(([, snapshot]) => snapshot.value);
    assert.deepEqual(snapshots, ['alpha ', 'alpha beta ', 'alpha beta gamma']);
    const [[message]] = calls.of('messageDone');
    assert.deepEqual([textOf(message), message.status], ['alpha beta gamma', 'completed']);
    const [snapshot] = await stream.finalMessages();
    assert.deepEqual([snapshot.id, textOf(snapshot)], [message.id, textOf(message)]);
    const [step] = await stream.finalRunSteps();
    assert.equal(step.step_details.message_creation.message_id, message.id);
    assert.deepEqual([run.status, run.usage.completion_tokens, run.thread_id], ['completed', 3, thread_id]);
  });

  test('words of every script', async () => {
    const { client } = context;
    const text = 'naïve 日本  🎉👩‍👩‍👧\n\ntwo\ttabs \u2028 "q" \\ data: [DONE]';
    const { stream, thread_id, ...calls } = await streamOf(client, [text]);
    await stream.done();
    assert.deepEqual((await stream.finalMessages()).map(textOf), [text]);
    assert.equal(calls.of('textDelta').at(-1)[1].value, text);
    assert.deepEqual(await threadTexts(client, thread_id), [text, text]);
  });

  test('what is wrong before the run starts is no stream', async () => {
    const { client } = context;
    const thread_id = await newThread(client, 'Hello');
    const assistant_id = `asst_${'0'.repeat(24)}`;
    const call = async () => (await client.beta.threads.runs.stream(thread_id, { assistant_id })).done();
    await refused(client, call, 404, { message: `No assistant found with id '${assistant_id}'.` });
  });

  test('a stream read with for await', async () => {
    const { client } = context;
    const thread_id = await newThread(client, 'alpha beta');
    const stream = await client.beta.threads.runs.stream(thread_id, { assistant_id: await newAssistant(client) });
    const seen = [];
    for await (const event of stream) seen.push(event);
    assert.deepEqual(names(seen), TEXT_RUN.slice(0, -1));
  });

  test('a stream opened again', async () => {
    const { client, baseURL } = context;
    const { stream, thread_id } = await streamOf(client, ['alpha beta gamma']);
    const run = await stream.finalRun();
    const events = await eventsOf();
    const open = (headers) =>
      recorder.fetch(`${baseURL}/threads/${thread_id}/runs/${run.id}/stream`, {
        headers: { authorization: `Bearer ${FIRST_KEY}`, ...headers },
      });
    const ids = [...(await (await open()).text()).matchAll(/^id: (.*)$/gm)].map(([, id]) => id);
    assert.deepEqual(await eventsOf(), events);
    assert.equal(ids.length, events.length);
    await (await open({ 'last-event-id': ids[7] })).text();
    assert.deepEqual(await eventsOf(), events.slice(8));
  });

  test('createAndRunStream', async () => {
    const { client } = context;
    const stream = await client.beta.threads.createAndRunStream({
      assistant_id: await newAssistant(client),
      thread: { messages: [{ role: 'user', content: 'both at once' }] },
    });
    const run = await stream.finalRun();
    assert.deepEqual(names(await eventsOf()), ['thread.created', ...TEXT_RUN]);
    assert.deepEqual(await threadTexts(client, run.thread_id), ['both at once', 'both at once']);
  });

  test('parallel calls and the second leg', async () => {
    const { client } = context;
    const lines = ['/echo call weather {"city":"Oslo"}', '/echo call clock {"city":"Rome"}'];
    const { stream, thread_id, ...calls } = await streamOf(client, lines);
    const run = await stream.finalRun();
    assert.deepEqual(names(await eventsOf()), [...RUN_STARTS, ...CALLS_WAIT]);
    assert.deepEqual([run.status, run.usage], ['requires_action', null]);
    assert.deepEqual(
      toolCalls(run).map((call) => [call.function.name, JSON.parse(call.function.arguments)]),
      [
        ['weather', { city: 'Oslo' }],
        ['clock', { city: 'Rome' }],
      ],
    );
    assert.deepEqual(
      calls.of('toolCallDone').map(([call]) => [call.id, call.function.arguments]),
      toolCalls(run).map((call) => [call.id, call.function.arguments]),
    );
    assert.equal(calls.of('toolCallCreated').length, 2);
    const [opened] = await stream.finalRunSteps();

    const second = await client.beta.threads.runs.submitToolOutputsStream(run.id, {
      thread_id,
      tool_outputs: outputsFor(run, { weather: 'rain', clock: 'noon' }),
    });
    const final = await second.finalRun();
    const events = await eventsOf();
    assert.deepEqual(names(events), AFTER_OUTPUTS);
    assert.equal(events[0].data.id, opened.id);
    assert.equal(final.status, 'completed');
    const [message] = await second.finalMessages();
    assert.equal(textOf(message), 'weather returned rain\nclock returned noon');
    const steps = await second.finalRunSteps();
    assert.deepEqual(steps.map(({ type }) => type), ['tool_calls', 'message_creation']);
    assert.deepEqual(steps[0].step_details.tool_calls.map((call) => call.function.output), ['rain', 'noon']);
  });

  test('two rounds of calls, streamed', async () => {
    const { client } = context;
    const { stream, thread_id } = await streamOf(client, ROUNDS);
    const first = await stream.finalRun();
    const submit = (run, outputs) =>
      client.beta.threads.runs.submitToolOutputsStream(run.id, { thread_id, tool_outputs: outputsFor(run, outputs) });
    const second = await (await submit(first, { weather: 'rain' })).finalRun();
    assert.deepEqual(names(await eventsOf()), ['thread.run.step.completed', ...RUN_RESUMES, ...CALLS_WAIT]);
    const third = await (await submit(second, { clock: 'noon' })).finalRun();
    assert.deepEqual(names(await eventsOf()), AFTER_OUTPUTS);
    assert.deepEqual([second.status, third.status], ['requires_action', 'completed']);
    assert.equal((await threadTexts(client, thread_id)).at(-1), 'weather returned rain\nclock returned noon');
  });

  test('words before a call', async () => {
    const { client } = context;
    const lines = ['/echo say Let me look.', '/echo call weather {"city":"Oslo"}'];
    const { stream } = await streamOf(client, lines);
    assert.equal((await stream.finalRun()).status, 'requires_action');
    assert.deepEqual(names(await eventsOf()), [...RUN_STARTS, ...MESSAGE_STEP, ...CALLS_WAIT]);
    assert.deepEqual((await stream.finalMessages()).map(textOf), ['Let me look.']);
  });

  test('a forced call', async () => {
    const { client } = context;
    const { stream } = await streamOf(client, ['What time is it?'], {
      tools: [functionTool('weather'), functionTool('clock')],
      tool_choice: { type: 'function', function: { name: 'clock' } },
    });
    const [call] = toolCalls(await stream.finalRun());
    assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['clock', {}]);
  });

  test('a failed run', async () => {
    const { client } = context;
    const { stream } = await streamOf(client, ['/echo fail 400']);
    const run = await stream.finalRun();
    assert.deepEqual([run.status, run.expires_at], ['failed', null]);
    assert.deepEqual(names(await eventsOf()), [...RUN_STARTS, 'thread.run.failed', 'done']);
  });

  test('an answer cut off', async () => {
    const { client } = context;
    const { stream } = await streamOf(client, ['/echo length 2', 'One two three four']);
    const run = await stream.finalRun();
    assert.deepEqual([run.status, run.incomplete_details.reason], ['incomplete', 'max_completion_tokens']);
    const end = ['thread.message.incomplete', 'thread.run.step.completed', 'thread.run.incomplete', 'done'];
    assert.deepEqual(names(await eventsOf()), [...RUN_STARTS, ...MESSAGE_OPENS, ...end]);
  });

  for (const order of ['asc', 'desc']) {
    test(`forty-five messages, ten at a time, ${order}`, async () => {
      const { client } = context;
      const expected = Array.from({ length: 45 }, (_, n) => `message ${String(n).padStart(2, '0')}`);
      const messages = expected.slice(0, 30).map((content) => ({ role: 'user', content }));
      const { id } = await client.beta.threads.create({ messages });
      for (const content of expected.slice(30)) {
        await client.beta.threads.messages.create(id, { role: 'user', content });
      }
      const list = (query) => client.beta.threads.messages.list(id, { order, limit: 10, ...query });
      const found = await client.every(list);
      assert.deepEqual(found.map(textOf), order === 'asc' ? expected : expected.toReversed());
      assert.equal(new Set(found.map((message) => message.id)).size, 45);
    });
  }
});
