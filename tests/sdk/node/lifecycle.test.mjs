// Every operation of assistants, threads, messages, runs, steps and models, once through each SDK.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorder } from './recording.mjs';
import {
  cancelledRun,
  completedRun,
  forEachClient,
  functionTool,
  newAssistant,
  newThread,
  refused,
  settled,
  textOf,
  threadTexts,
  toolCalls,
  waitingRun,
} from './scenario.mjs';

const body = async () => (await recorder.last()).response_body;

forEachClient((context) => {
  test('assistants', async () => {
    const { client } = context;
    const { assistants } = client.beta;
    const made = await assistants.create({
      model: 'echo',
      name: 'Ada',
      instructions: 'Be brief.',
      tools: [functionTool('weather')],
      metadata: { team: 'one' },
    });
    const created = await body();
    assert.match(made.id, /^asst_[A-Za-z0-9]{24}$/);
    assert.deepEqual([made.name, made.instructions, made.metadata], ['Ada', 'Be brief.', { team: 'one' }]);
    await assistants.retrieve(made.id);
    assert.deepEqual(await body(), created);
    await assistants.update(made.id, { name: 'Grace', tools: [], metadata: null });
    assert.deepEqual(await body(), { ...created, name: 'Grace', tools: [], metadata: {} });

    const second = await assistants.create({ model: 'echo' });
    const newest = await assistants.list({ limit: 2 });
    assert.deepEqual(newest.data.map(({ id }) => id), [second.id, made.id]);
    const next = await assistants.list({ limit: 1, after: second.id });
    assert.deepEqual(next.data.map(({ id }) => id), [made.id]);

    await assistants.delete(second.id);
    const gone = await assistants.delete(made.id);
    assert.deepEqual([gone.id, gone.object, gone.deleted], [made.id, 'assistant.deleted', true]);
    await refused(client, () => assistants.retrieve(made.id), 404, {
      message: `No assistant found with id '${made.id}'.`,
    });
  });

  test('threads', async () => {
    const { client } = context;
    const { threads } = client.beta;
    const empty = await threads.create();
    assert.deepEqual([empty.object, empty.metadata, empty.tool_resources], ['thread', {}, {}]);
    const made = await threads.create({
      messages: [
        { role: 'user', content: 'one' },
        { role: 'assistant', content: 'two' },
        { role: 'user', content: [{ type: 'text', text: 'three' }] },
      ],
      metadata: { ticket: '7' },
    });
    const created = await body();
    assert.deepEqual(await threadTexts(client, made.id), ['one', 'two', 'three']);
    await threads.retrieve(made.id);
    assert.deepEqual(await body(), created);
    await threads.update(made.id, { metadata: { state: 'open' } });
    assert.deepEqual(await body(), { ...created, metadata: { state: 'open' } });
    const gone = await threads.delete(made.id);
    assert.deepEqual([gone.id, gone.object, gone.deleted], [made.id, 'thread.deleted', true]);
    const message = `No thread found with id '${made.id}'.`;
    await refused(client, () => threads.retrieve(made.id), 404, { message });
    await refused(client, () => threads.messages.list(made.id), 404, { message });
    await refused(client, () => threads.runs.list(made.id), 404, { message });
  });

  test('messages', async () => {
    const { client } = context;
    const { messages } = client.beta.threads;
    const thread_id = (await client.beta.threads.create({})).id;
    const made = await messages.create(thread_id, { role: 'user', content: 'Hello there', metadata: { from: 'me' } });
    const created = await body();
    assert.deepEqual(created.content, [{ type: 'text', text: { value: 'Hello there', annotations: [] } }]);
    assert.deepEqual([created.run_id, created.assistant_id, created.attachments], [null, null, []]);
    await messages.retrieve(made.id, { thread_id });
    assert.deepEqual(await body(), created);
    await messages.update(made.id, { thread_id, metadata: { seen: 'yes' } });
    assert.deepEqual(await body(), { ...created, metadata: { seen: 'yes' } });
    const second = await messages.create(thread_id, { role: 'assistant', content: 'Hello yourself' });
    const listed = await messages.list(thread_id, { order: 'asc' });
    assert.deepEqual(listed.data.map(({ id }) => id), [made.id, second.id]);
    const gone = await messages.delete(made.id, { thread_id });
    assert.deepEqual([gone.id, gone.object, gone.deleted], [made.id, 'thread.message.deleted', true]);
    await refused(client, () => messages.retrieve(made.id, { thread_id }), 404, {
      message: `No message found with id '${made.id}'.`,
    });
  });

  test('runs', async () => {
    const { client } = context;
    const { runs, messages } = client.beta.threads;
    const assistant_id = await newAssistant(client, { instructions: 'Be brief.' });
    const thread_id = await newThread(client, 'Hello');
    const made = await runs.create(thread_id, { assistant_id, metadata: { n: '1' } });
    const created = await body();
    assert.deepEqual([created.status, created.started_at, created.usage], ['queued', null, null]);
    assert.equal(created.expires_at, created.created_at + 600);
    assert.deepEqual([created.instructions, created.metadata], ['Be brief.', { n: '1' }]);
    const done = await settled(client, { thread_id, run_id: made.id });
    assert.deepEqual([done.status, done.expires_at, done.usage.completion_tokens], ['completed', null, 1]);
    await runs.retrieve(made.id, { thread_id });
    assert.equal((await body()).completed_at, done.completed_at);

    await messages.create(thread_id, { role: 'user', content: 'Bye' });
    const second = await runs.create(thread_id, { assistant_id, model: 'echo-large' });
    assert.equal((await settled(client, { thread_id, run_id: second.id })).status, 'completed');
    const listed = await runs.list(thread_id, {});
    assert.deepEqual(listed.data.map(({ id }) => id), [second.id, made.id]);
    const own = await messages.list(thread_id, { run_id: second.id });
    assert.deepEqual(own.data.map((message) => [message.run_id, textOf(message)]), [[second.id, 'Bye']]);
  });

  test('cancel', async () => {
    const { client } = context;
    const { thread_id, run_id } = await waitingRun(client);
    const answered = await client.beta.threads.runs.cancel(run_id, { thread_id });
    assert.ok(['cancelling', 'cancelled'].includes(answered.status));
    assert.equal(answered.required_action, null);
    const sent = (await recorder.last()).request_body;
    assert.deepEqual(sent, client.name === 'portkey' ? {} : null); // the one sends {}, the other nothing
    const done = await settled(client, { thread_id, run_id });
    assert.deepEqual([done.status, done.expires_at], ['cancelled', null]);
    assert.ok(done.cancelled_at >= done.created_at);
  });

  test('steps', async () => {
    const { client } = context;
    const { runs } = client.beta.threads;
    const { thread_id, run_id } = await waitingRun(client);
    const [call] = toolCalls(await runs.retrieve(run_id, { thread_id }));
    const answered = await runs.submitToolOutputs(run_id, {
      thread_id,
      tool_outputs: [{ tool_call_id: call.id, output: 'rain' }],
    });
    assert.equal(answered.status, 'queued');
    const done = await settled(client, { thread_id, run_id });
    const { data: steps } = await runs.steps.list(run_id, { thread_id, order: 'asc' });
    assert.deepEqual(steps.map(({ type, status }) => [type, status]), [
      ['tool_calls', 'completed'],
      ['message_creation', 'completed'],
    ]);
    const step = await runs.steps.retrieve(steps[0].id, { thread_id, run_id });
    assert.deepEqual(step.step_details.tool_calls, [
      { id: call.id, type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}', output: 'rain' } },
    ]);
    const sum = steps.reduce((total, { usage }) => total + usage.total_tokens, 0);
    assert.equal(done.usage.total_tokens, sum);
  });

  test('create thread and run', async () => {
    const { client } = context;
    const made = await client.beta.threads.createAndRun({
      assistant_id: await newAssistant(client),
      thread: { messages: [{ role: 'user', content: 'In one go' }], metadata: { made: 'together' } },
    });
    assert.equal((await settled(client, { thread_id: made.thread_id, run_id: made.id })).status, 'completed');
    assert.deepEqual(await threadTexts(client, made.thread_id), ['In one go', 'In one go']);
    assert.deepEqual((await client.beta.threads.retrieve(made.thread_id)).metadata, { made: 'together' });
  });

  test('models', async () => {
    const { client } = context;
    const { data } = await client.models.list();
    assert.ok(data.some(({ id }) => id === 'echo'));
    const model = await client.models.retrieve('echo');
    assert.deepEqual([model.id, model.object], ['echo', 'model']);
    await refused(client, () => client.models.retrieve('no-such-model'), 404, {
      message: "The model 'no-such-model' does not exist",
      param: 'model',
      code: 'model_not_found',
    });
  });

  test('every state is reachable', async () => {
    const { client } = context;
    for (const [make, status] of [
      [completedRun, 'completed'],
      [waitingRun, 'requires_action'],
      [cancelledRun, 'cancelled'],
    ]) {
      const { thread_id, run_id } = await make(client);
      assert.equal((await client.beta.threads.runs.retrieve(run_id, { thread_id })).status, status);
    }
  });
});
