// Modify Run: `POST /v1/threads/{thread_id}/runs/{run_id}`, metadata only, in any state of the run
// (contract sections 2.2 to 2.4, 3.1 and 8.4).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recorder } from './recording.mjs';
import { cancelledRun, completedRun, forEachClient, refused, waitingRun } from './scenario.mjs';

async function stored(client, { thread_id, run_id }) {
  await client.beta.threads.runs.retrieve(run_id, { thread_id });
  return (await recorder.last()).response_body;
}

const STATES = { completed: completedRun, requires_action: waitingRun, cancelled: cancelledRun };

const LONG_KEY = 'k'.repeat(65);
const REFUSED = {
  '17 pairs': [
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, n) => [`n${n}`, 'v'])) },
    {
      message:
        "Invalid 'metadata': too many properties. " +
        'Expected an object with at most 16 properties, but got an object with 17 properties instead.',
      param: 'metadata',
      code: 'object_above_max_properties',
    },
  ],
  'key of 65': [
    { metadata: { [LONG_KEY]: 'v' } },
    {
      message:
        "Invalid property name in 'metadata': 'kkk...kkk' is too long. " +
        'Expected a string with maximum length 64, but got a string with length 65 instead.',
      param: `metadata.${LONG_KEY}`,
      code: 'property_name_above_max_length',
    },
  ],
  'value of 513': [
    { metadata: { k: 'v'.repeat(513) } },
    {
      message:
        "Invalid 'metadata.k': string too long. " +
        'Expected a string with maximum length 512, but got a string with length 513 instead.',
      param: 'metadata.k',
      code: 'string_above_max_length',
    },
  ],
  'number as value': [
    { metadata: { k: 5 } },
    {
      message: "Invalid type for 'metadata.k': expected a string, but got an integer instead.",
      param: 'metadata.k',
      code: 'invalid_type',
    },
  ],
  'another field': [
    { metadata: { k: 'v' }, status: 'completed' },
    { message: "Unknown parameter: 'status'.", param: 'status', code: 'unknown_parameter' },
  ],
};

forEachClient((context) => {
  for (const [state, make] of Object.entries(STATES)) {
    test(`metadata is replaced, kept and cleared: ${state}`, async () => {
      const { client } = context;
      const { runs } = client.beta.threads;
      const ids = await make(client, { metadata: { old: '1', other: '2' } });
      const before = await stored(client, ids);
      assert.deepEqual([before.status, before.metadata], [state, { old: '1', other: '2' }]);
      for (const [sent, expected] of [
        [{ metadata: { new: '3' } }, { new: '3' }],
        [{}, { new: '3' }],
        [{ metadata: { user_id: 'user_abc123', empty: '' } }, { user_id: 'user_abc123', empty: '' }],
        [{ metadata: null }, {}],
        [{ metadata: { again: 'yes' } }, { again: 'yes' }],
        [{ metadata: {} }, {}],
      ]) {
        const returned = await runs.update(ids.run_id, { thread_id: ids.thread_id, ...sent });
        const exchange = await recorder.last();
        assert.deepEqual(exchange.request_body, sent);
        assert.deepEqual([returned.id, returned.metadata], [ids.run_id, expected]);
        assert.deepEqual(exchange.response_body, { ...before, metadata: expected });
        assert.deepEqual(await stored(client, ids), { ...before, metadata: expected });
      }
    });
  }

  for (const [name, [sent, fields]] of Object.entries(REFUSED)) {
    test(`refused, and nothing changes: ${name}`, async () => {
      const { client } = context;
      const ids = await completedRun(client, { metadata: { kept: 'yes' } });
      const before = await stored(client, ids);
      const call = () => client.beta.threads.runs.update(ids.run_id, { thread_id: ids.thread_id, ...sent });
      await refused(client, call, 400, fields);
      assert.deepEqual(await stored(client, ids), before);
    });
  }

  test('unknown runs', async () => {
    const { client } = context;
    const { thread_id, run_id } = await completedRun(client);
    const other = (await client.beta.threads.create({})).id;
    const missing = `run_${'0'.repeat(24)}`;
    for (const [thread, run] of [
      [thread_id, missing],
      [other, run_id],
    ]) {
      const call = () => client.beta.threads.runs.update(run, { thread_id: thread, metadata: { k: 'v' } });
      await refused(client, call, 404, { message: `No run found with id '${run}'.` });
    }
  });

  test('the argument order of older SDKs fails in the SDK, not at the server', async () => {
    const { client } = context;
    const { thread_id, run_id } = await completedRun(client);
    const sent = (await recorder.settled()).length;
    await assert.rejects(async () => client.beta.threads.runs.update(thread_id, run_id, { metadata: { k: 'v' } }));
    assert.equal((await recorder.settled()).length, sent);
  });
});
