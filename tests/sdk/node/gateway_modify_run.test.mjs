// Modify Run through the gateway: served here for native runs, and passed on as it is by a virtual key with
// `assistants = "upstream"`. What it answers in which state is in `modify_run.test.mjs`.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ERRORS, FIRST_SECRET, bodyOf, credentialOf, gateway, refusal } from './gateway.mjs';
import { failure } from './upstream.mjs';

const context = gateway();
const { seen } = context;
const IDS = { thread_id: 'thread_abc123', run_id: 'run_abc123' };
const OVERRIDE = { override_params: { model: 'gpt-4o-mini' } };
const PATH = '/v1/threads/thread_abc123/runs/run_abc123';

for (const name of Object.keys(ERRORS)) {
  describe(name, () => {
    const runsOf = (options) => context[name](options).beta.threads.runs;
    const modify = (options, body) => runsOf(options).update(IDS.run_id, { thread_id: IDS.thread_id, ...body });

    for (const [way, options, model] of [
      ['a virtual key', { virtualKey: 'main' }, 'gpt-4o'],
      ['an inline config', { config: { virtual_key: 'main', ...OVERRIDE } }, 'gpt-4o-mini'],
    ]) {
      test(`served here: ${way}`, async () => {
        const { beta } = context[name](options);
        const { id: assistant_id } = await beta.assistants.create({ model: 'gpt-4o' });
        const thread = { messages: [{ role: 'user', content: 'Hello' }] };
        const run = await beta.threads.createAndRunPoll({ assistant_id, thread, metadata: { old: '1' } });
        assert.deepEqual([run.status, run.metadata], ['completed', { old: '1' }]);
        assert.deepEqual(context.first.requests.map(({ body }) => body.model), [model]);

        const { thread_id } = run;
        const metadata = { user_id: 'user_abc123' };
        const changed = await beta.threads.runs.update(run.id, { thread_id, metadata });
        assert.deepEqual([changed.id, changed.status, changed.metadata], [run.id, 'completed', metadata]);
        assert.deepEqual((await beta.threads.runs.retrieve(run.id, { thread_id })).metadata, metadata);
        assert.deepEqual(seen(), [1, 0], 'no provider is asked');
      });
    }

    for (const [way, options] of [
      ['a virtual key', { virtualKey: 'hosted' }],
      ['an inline config', { config: { virtual_key: 'hosted', ...OVERRIDE } }],
    ]) {
      test(`passed on: ${way}`, async () => {
        const body = { metadata: { user_id: 'user_abc123' } };
        const run = await modify(options, body);
        assert.deepEqual([run.id, run.thread_id, run.metadata], [IDS.run_id, IDS.thread_id, body.metadata]);
        assert.deepEqual(seen(), [1, 0]);
        const [request] = context.first.requests;
        assert.deepEqual([request.method, request.path, request.body], ['POST', PATH, body]);
        assert.deepEqual([credentialOf(request), request.headers['openai-beta']], [FIRST_SECRET, 'assistants=v2']);
      });
    }

    test('passed on again, where a config says so', async () => {
      context.first.script(failure(503));
      const config = { virtual_key: 'hosted', retry: { attempts: 1, on_status_codes: [503] } };
      assert.deepEqual((await modify({ config }, { metadata: { k: 'v' } })).metadata, { k: 'v' });
      assert.deepEqual(context.first.requests.map(({ path, body }) => [path, body.metadata.k]), Array(2).fill([PATH, 'v']));
    });

    test('errors of the server upstream pass', async () => {
      for (const [status, expected] of [[400, 'BadRequestError'], [404, 'NotFoundError'], [500, 'InternalServerError']]) {
        context.first.script(failure(status, `No run found with id '${IDS.run_id}'.`));
        const error = await refusal(modify({ virtualKey: 'hosted' }, { metadata: {} }));
        assert.deepEqual([error.constructor.name, error.status], [expected, status]);
        assert.equal(bodyOf(error).message, `No run found with id '${IDS.run_id}'.`);
      }
      assert.deepEqual(seen(), [3, 0]);
    });
  });
}
