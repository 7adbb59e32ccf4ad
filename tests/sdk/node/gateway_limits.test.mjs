// Rates and budgets, as each SDK meets them: what it throws, what it waits for, and what the upstream is spared.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ADMIN_KEY, ERRORS, ask, bodyOf, gateway, refusal, said } from './gateway.mjs';

const context = gateway();
const { seen } = context;
const SECRET = 'sk-made-up-secret-of-a-limited-account';
const admin = () => context.portkey({ apiKey: ADMIN_KEY });

/** A new API key with this rate, gone after the test. */
async function limited(t, rate) {
  const { apiKeys } = admin();
  const { id, key } = await apiKeys.create({
    type: 'workspace',
    'sub-type': 'service',
    name: 'limited',
    scopes: ['completions.write'],
    rate_limits: [{ type: 'requests', ...rate }],
    defaults: { virtual_key: 'main' },
  });
  t.after(() => apiKeys.delete({ id }));
  return key;
}

/** The slug of a new virtual key with this budget that leads to the second upstream, gone after the test. */
async function budgeted(t, usage_limits) {
  const { virtualKeys } = admin();
  const { slug } = await virtualKeys.create({
    name: 'Small',
    provider: 'openai',
    key: SECRET,
    custom_host: context.second.url,
    usage_limits,
  });
  t.after(() => virtualKeys.delete({ slug }));
  return slug;
}

for (const [name, errors] of Object.entries(ERRORS)) {
  describe(name, () => {
    test('a rate', async (t) => {
      const sdk = context[name]({ apiKey: await limited(t, { unit: 'rpd', value: 2 }) });
      await ask(sdk);
      await ask(sdk);
      const error = await refusal(ask(sdk));
      assert.ok(error instanceof errors.RateLimitError);
      assert.deepEqual([error.status, bodyOf(error).code], [429, 'rate_limit_exceeded']);
      const headers = new Headers(error.headers);
      const wait = Number(headers.get('retry-after'));
      assert.ok(0 < wait && wait <= 2 * 86_400, `retry-after: ${headers.get('retry-after')}`);
      assert.deepEqual(
        ['limit', 'remaining'].map((what) => headers.get(`x-ratelimit-${what}-requests`)),
        ['2', '0'],
      );
      assert.deepEqual(seen(), [2, 0]);
    });

    test('a budget', async (t) => {
      // A hundred tokens, of which an answer takes eighteen: the call after the sixth is refused.
      const slug = await budgeted(t, { type: 'tokens', credit_limit: 100 });
      const sdk = context[name]({ virtualKey: slug });
      for (let call = 0; call < 6; call += 1) await ask(sdk);
      const error = await refusal(ask(sdk));
      assert.ok(error instanceof errors.APIError);
      assert.deepEqual([error.status, bodyOf(error).code], [412, 'usage_limit_exceeded']);
      assert.deepEqual(seen(), [0, 6]);

      const { virtualKeys } = admin();
      assert.equal((await virtualKeys.retrieve({ slug })).status, 'exhausted');
      await virtualKeys.update({ slug, reset_usage: true });
      assert.equal(said(await ask(sdk)), 'You said: Hello');
    });

    test('a budget that a streamed answer uses up', async (t) => {
      const sdk = context[name]({ virtualKey: await budgeted(t, { type: 'tokens', credit_limit: 10 }) });
      let text = '';
      for await (const { choices } of await ask(sdk, 'Hello', { stream: true })) text += choices[0].delta.content ?? '';
      assert.equal(text, 'You said: Hello');
      assert.equal((await refusal(ask(sdk, 'Hello', { stream: true }))).status, 412);
      assert.deepEqual(seen(), [0, 1]);
    });

    test('a budget that a run uses up', async (t) => {
      const { beta } = context[name]({ virtualKey: await budgeted(t, { type: 'tokens', credit_limit: 10 }) });
      const { id: assistant_id } = await beta.assistants.create({ model: 'gpt-4o' });
      const thread = { messages: [{ role: 'user', content: 'Hello' }] };
      const done = await beta.threads.createAndRunPoll({ assistant_id, thread });
      assert.deepEqual([done.status, done.usage.total_tokens], ['completed', 18]);
      const refused = await beta.threads.createAndRunPoll({ assistant_id, thread });
      assert.deepEqual([refused.status, refused.last_error.code], ['failed', 'rate_limit_exceeded']);
      assert.match(refused.last_error.message, /used up its budget of 10 tokens/);
      assert.deepEqual(seen(), [0, 1]);
    });
  });
}

test('a pause that the SDK is told to make', async (t) => {
  // One call a second and three at the same time. Portkey's SDK repeats nothing that has a status.
  const sdk = context.openai({ apiKey: await limited(t, { unit: 'rps', value: 1 }) }).withOptions({ maxRetries: 5 });
  const answers = await Promise.all([1, 2, 3].map((number) => ask(sdk, `Number ${number}`)));
  assert.deepEqual(answers.map(said), [1, 2, 3].map((number) => `You said: Number ${number}`));
  assert.deepEqual(seen(), [3, 0]);
  const repeated = context.first.requests.filter(({ headers }) => headers['x-stainless-retry-count'] !== '0');
  assert.ok(repeated.length > 0, 'nobody was told to come again');
});
