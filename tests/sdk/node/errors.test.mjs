// The SDKs' error classes with the texts and codes of contract section 2, and the wall between workspaces.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  cancelledRun,
  completedRun,
  forEachClient,
  newAssistant,
  outputsFor,
  refused,
  settled,
  toolCalls,
  waitingRun,
} from './scenario.mjs';

const ID = '0'.repeat(24);

forEachClient((context) => {
  test('a key that nobody gave out', async () => {
    const { intruder } = context;
    for (const call of [
      () => intruder.models.list(),
      () => intruder.beta.assistants.list({}),
      () => intruder.beta.threads.create({}),
    ]) {
      await assert.rejects(call, (error) => {
        assert.ok(error instanceof intruder.errors.AuthenticationError);
        assert.deepEqual([error.status, error.param, error.code], [401, null, 'invalid_api_key']);
        assert.match(error.error.message, /^Incorrect API key provided: /);
        assert.ok(!error.error.message.includes('lg-nobody-gave-this-key-out'));
        return true;
      });
    }
  });

  test('wrong prefixes', async () => {
    const { client } = context;
    const { threads, assistants } = client.beta;
    const thread_id = (await threads.create({})).id;
    for (const [call, param, value, prefix] of [
      [() => threads.retrieve('undefined'), 'thread_id', 'undefined', 'thread'],
      [() => assistants.retrieve('wf_69'), 'assistant_id', 'wf_69', 'asst'],
      [() => threads.runs.retrieve('abc', { thread_id }), 'run_id', 'abc', 'run'],
      [() => threads.messages.retrieve('abc', { thread_id }), 'message_id', 'abc', 'msg'],
      [() => threads.runs.steps.retrieve('abc', { thread_id, run_id: `run_${ID}` }), 'step_id', 'abc', 'step'],
    ]) {
      const message = `Invalid '${param}': '${value}'. Expected an ID that begins with '${prefix}'.`;
      await refused(client, call, 400, { message, param, code: 'invalid_value' });
    }
  });

  test('nothing there', async () => {
    const { client } = context;
    const { threads, assistants } = client.beta;
    const { thread_id, run_id } = await completedRun(client);
    for (const [call, thing, id] of [
      [() => assistants.retrieve(`asst_${ID}`), 'assistant', `asst_${ID}`],
      [() => threads.runs.create(thread_id, { assistant_id: `asst_${ID}` }), 'assistant', `asst_${ID}`],
      [() => threads.update(`thread_${ID}`, { metadata: {} }), 'thread', `thread_${ID}`],
      [() => threads.messages.retrieve(`msg_${ID}`, { thread_id }), 'message', `msg_${ID}`],
      [() => threads.runs.retrieve(`run_${ID}`, { thread_id }), 'run', `run_${ID}`],
      [() => threads.runs.steps.retrieve(`step_${ID}`, { thread_id, run_id }), 'run step', `step_${ID}`],
    ]) {
      await refused(client, call, 404, { message: `No ${thing} found with id '${id}'.` });
    }
  });

  test('the lock of an active run', async () => {
    const { client } = context;
    const { messages, runs } = client.beta.threads;
    const { thread_id, run_id } = await waitingRun(client);
    await refused(client, () => messages.create(thread_id, { role: 'user', content: 'Hello?' }), 400, {
      message: `Can't add messages to ${thread_id} while a run ${run_id} is active.`,
    });
    const assistant_id = await newAssistant(client);
    await refused(client, () => runs.create(thread_id, { assistant_id }), 400, {
      message: `Thread ${thread_id} already has an active run ${run_id}.`,
    });
    await runs.cancel(run_id, { thread_id });
    assert.equal((await settled(client, { thread_id, run_id })).status, 'cancelled');
    await messages.create(thread_id, { role: 'user', content: 'Free again.' });
  });

  for (const [status, make] of Object.entries({ completed: completedRun, cancelled: cancelledRun })) {
    test(`too late: ${status}`, async () => {
      const { client } = context;
      const { runs } = client.beta.threads;
      const { thread_id, run_id } = await make(client);
      await refused(client, () => runs.cancel(run_id, { thread_id }), 400, {
        message: `Cannot cancel run with status '${status}'.`,
      });
      const tool_outputs = [{ tool_call_id: `call_${ID}`, output: 'late' }];
      await refused(client, () => runs.submitToolOutputs(run_id, { thread_id, tool_outputs }), 400, {
        message: `Runs in status "${status}" do not accept tool outputs.`,
      });
    });
  }

  test('outputs for other calls', async () => {
    const { client } = context;
    const { runs } = client.beta.threads;
    const lines = ['/echo call weather {"city":"Oslo"}', '/echo call clock {"city":"Rome"}'];
    const { thread_id, run_id } = await waitingRun(client, {}, lines);
    const waiting = await runs.retrieve(run_id, { thread_id });
    const [first, second] = toolCalls(waiting).map(({ id }) => id);
    const tool_outputs = [{ tool_call_id: first, output: 'x' }];
    await refused(client, () => runs.submitToolOutputs(run_id, { thread_id, tool_outputs }), 400, {
      message: `Expected tool outputs for call_ids ['${first}', '${second}'], got ['${first}']`,
    });
    const all = outputsFor(waiting, { weather: 'rain', clock: 'noon' });
    await runs.submitToolOutputs(run_id, { thread_id, tool_outputs: all });
    assert.equal((await settled(client, { thread_id, run_id })).status, 'completed');
  });

  test('nothing of another workspace exists', async () => {
    const { client, stranger } = context;
    const { thread_id, run_id } = await waitingRun(client, { metadata: { owner: 'first' } });
    const { assistant_id } = await client.beta.threads.runs.retrieve(run_id, { thread_id });
    const [{ id: step_id }] = (await client.beta.threads.runs.steps.list(run_id, { thread_id })).data;
    const [{ id: message_id }] = (await client.beta.threads.messages.list(thread_id, {})).data;
    const { assistants, threads } = stranger.beta;
    const { runs, messages } = threads;
    const missing = { assistant: assistant_id, thread: thread_id };
    for (const [thing, call] of [
      ['assistant', () => assistants.retrieve(assistant_id)],
      ['assistant', () => assistants.update(assistant_id, { name: 'mine' })],
      ['assistant', () => assistants.delete(assistant_id)],
      ['assistant', () => threads.createAndRun({ assistant_id })],
      ['thread', () => threads.retrieve(thread_id)],
      ['thread', () => threads.update(thread_id, { metadata: { owner: 'me' } })],
      ['thread', () => threads.delete(thread_id)],
      ['thread', () => messages.list(thread_id, {})],
      ['thread', () => messages.create(thread_id, { role: 'user', content: 'mine' })],
      ['thread', () => messages.retrieve(message_id, { thread_id })],
      ['thread', () => messages.update(message_id, { thread_id, metadata: { owner: 'me' } })],
      ['thread', () => messages.delete(message_id, { thread_id })],
      ['thread', () => runs.list(thread_id, {})],
      ['thread', () => runs.retrieve(run_id, { thread_id })],
      ['thread', () => runs.update(run_id, { thread_id, metadata: { owner: 'me' } })],
      ['thread', () => runs.cancel(run_id, { thread_id })],
      ['thread', () => runs.submitToolOutputs(run_id, { thread_id, tool_outputs: [{ tool_call_id: `call_${ID}`, output: 'mine' }] })],
      ['thread', () => runs.steps.list(run_id, { thread_id })],
      ['thread', () => runs.steps.retrieve(step_id, { thread_id, run_id })],
    ]) {
      await refused(stranger, call, 404, { message: `No ${thing} found with id '${missing[thing]}'.` });
    }
    const run = await client.beta.threads.runs.retrieve(run_id, { thread_id });
    assert.deepEqual([run.status, run.metadata], ['requires_action', { owner: 'first' }]);
  });
});
