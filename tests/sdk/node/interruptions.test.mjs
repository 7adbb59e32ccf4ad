// What happens around a stream: the next message inside a handler, cancel midway, a client that hangs up.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorder } from './recording.mjs';
import {
  MESSAGE_OPENS,
  RUN_STARTS,
  forEachClient,
  names,
  newAssistant,
  newThread,
  settled,
  textOf,
  threadTexts,
  toolCalls,
} from './scenario.mjs';

const LONG = Array.from({ length: 200 }, (_, n) => `word${n}`).join(' ');

async function streamOf(client, ...lines) {
  const thread_id = await newThread(client, ...lines);
  const assistant_id = await newAssistant(client);
  return { thread_id, stream: await client.beta.threads.runs.stream(thread_id, { assistant_id }) };
}

/** Resolves with what `act` gives back for the first event of this name. */
function onFirst(stream, name, act) {
  return new Promise((resolve, reject) => {
    let done = false;
    stream.on('event', ({ event, data }) => {
      if (event !== name || done) return;
      done = true;
      act(data).then(resolve, reject);
    });
    stream.on('error', reject);
  });
}

forEachClient((context) => {
  test('the next message inside the handler', async () => {
    const { client } = context;
    const { thread_id, stream } = await streamOf(client, 'first');
    const message = { role: 'user', content: 'second' };
    const posted = await onFirst(stream, 'thread.run.completed', () =>
      client.beta.threads.messages.create(thread_id, message),
    );
    await stream.done();
    assert.equal(textOf(posted), 'second');
    assert.deepEqual(await threadTexts(client, thread_id), ['first', 'first', 'second']);
  });

  test('submitting inside the handler', async () => {
    const { client } = context;
    const { thread_id, stream } = await streamOf(client, '/echo call weather {"city":"Oslo"}');
    const answered = await onFirst(stream, 'thread.run.requires_action', (run) => {
      const tool_outputs = [{ tool_call_id: toolCalls(run)[0].id, output: 'rain' }];
      return client.beta.threads.runs.submitToolOutputs(run.id, { thread_id, tool_outputs });
    });
    assert.equal(answered.status, 'queued');
    assert.equal((await settled(client, { thread_id, run_id: answered.id })).status, 'completed');
    assert.equal((await threadTexts(client, thread_id)).at(-1), 'weather returned rain');
  });

  test('cancel in the middle of a stream', async () => {
    const { client } = context;
    const { thread_id, stream } = await streamOf(client, '/echo pace 50', LONG);
    const answered = await onFirst(stream, 'thread.message.delta', () =>
      client.beta.threads.runs.cancel(stream.currentRun().id, { thread_id }),
    );
    assert.ok(['cancelling', 'cancelled'].includes(answered.status));
    const run = await stream.finalRun();
    assert.deepEqual([run.status, run.expires_at], ['cancelled', null]);
    const events = (await recorder.lastStream()).response_sse;
    assert.deepEqual(names(events), [
      ...RUN_STARTS,
      ...MESSAGE_OPENS,
      'thread.run.cancelling',
      'thread.message.incomplete',
      'thread.run.step.cancelled',
      'thread.run.cancelled',
      'done',
    ]);
    const message = events.find(({ event }) => event === 'thread.message.incomplete').data;
    assert.deepEqual([message.status, message.incomplete_details.reason], ['incomplete', 'run_cancelled']);
    const streamed = events
      .filter(({ event }) => event === 'thread.message.delta')
      .map(({ data }) => data.delta.content[0].text.value)
      .join('');
    const [snapshot] = await stream.finalMessages();
    assert.deepEqual([textOf(message), textOf(snapshot)], [streamed, streamed]);
    assert.ok(LONG.startsWith(streamed.trim()) && streamed.length < LONG.length);
  });

  test('a client that hangs up does not stop the run', async () => {
    const { client } = context;
    const text = 'These words go on without anybody listening to them.';
    const { thread_id, stream } = await streamOf(client, '/echo pace 20', text);
    let run_id;
    for await (const { event, data } of stream) {
      if (event === 'thread.run.created') run_id = data.id;
      if (event === 'thread.message.delta') break;
    }
    assert.equal((await settled(client, { thread_id, run_id })).status, 'completed');
    assert.equal((await threadTexts(client, thread_id)).at(-1), text);
    assert.equal((await recorder.lastStream()).complete, false);
  });
});
