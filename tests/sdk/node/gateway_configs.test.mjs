// Configs as the SDKs send them: strategies, retries, timeouts, cache, guardrails, told by what the upstreams saw.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ERRORS, ask, bodyOf, gateway, refusal, said, told } from './gateway.mjs';
import { failure } from './upstream.mjs';

const context = gateway();
const { seen } = context;
const BOTH = [{ virtual_key: 'main' }, { virtual_key: 'second' }];

const routed = (mode, targets = BOTH, strategy = {}) => ({ strategy: { mode, ...strategy }, targets });

/** Lets the upstream's next answer wait until the test is over. */
function stall(t, upstream) {
  upstream.script(() => new Promise((resolve) => t.after(() => resolve())));
}

for (const [name, errors] of Object.entries(ERRORS)) {
  const client = (options) => context[name](options);

  describe(name, () => {
    for (const [where, config] of Object.entries({ saved: 'spare', inline: routed('fallback') })) {
      test(`a fallback, ${where}`, async () => {
        context.first.script(failure(503));
        assert.equal(said(await ask(client({ config }))), 'You said: Hello');
        assert.deepEqual(seen(), [1, 1]);
      });
    }

    test('a fallback on some statuses', async () => {
      const sdk = client({ config: routed('fallback', BOTH, { on_status_codes: [429] }) });
      context.first.script(failure(500), failure(429));
      assert.ok((await refusal(ask(sdk))) instanceof errors.InternalServerError);
      assert.deepEqual(seen(), [1, 0]);
      assert.equal((await told(sdk))['last-used-option-index'], 'config.targets[1]');
      assert.deepEqual(seen(), [2, 1]);
    });

    test('when all fail, the last answer is given', async () => {
      context.first.script(failure(500, 'Of the first.'));
      context.second.script(failure(429, 'Of the second.'));
      const error = await refusal(ask(client({ config: 'spare' })));
      assert.ok(error instanceof errors.RateLimitError);
      assert.equal(bodyOf(error).message, 'Of the second.');
    });

    test('load balancing by weight', async () => {
      // 40 draws of three to one; that one side sees fewer than 12 or all has odds below one in a hundred thousand.
      const sdk = client({ config: routed('loadbalance', [{ ...BOTH[0], weight: 3 }, { ...BOTH[1], weight: 1 }]) });
      for (let call = 0; call < 40; call += 1) await ask(sdk);
      const [atFirst, atSecond] = seen();
      assert.equal(atFirst + atSecond, 40);
      assert.ok(12 <= atFirst && atFirst < 40, `${atFirst} of 40`);
    });

    test('no weight, no call', async () => {
      const sdk = client({ config: routed('loadbalance', [{ ...BOTH[0], weight: 0 }, BOTH[1]]) });
      for (let call = 0; call < 10; call += 1) await ask(sdk);
      assert.deepEqual(seen(), [0, 10]);
    });

    test('a retry, and the five headers', async () => {
      const config = { virtual_key: 'main', retry: { attempts: 1, on_status_codes: [503] } };
      context.first.script(failure(503));
      const headers = await told(client({ config, traceID: 'a-trace-of-mine' }));
      assert.deepEqual(seen(), [2, 0]);
      const expected = {
        'trace-id': 'a-trace-of-mine',
        'retry-attempt-count': '1',
        'last-used-option-index': 'config',
        'cache-status': 'DISABLED',
        provider: 'openai',
      };
      assert.deepEqual({ ...headers, ...expected }, headers);
    });

    test('retries used up', async () => {
      const config = { virtual_key: 'main', retry: { attempts: 1, on_status_codes: [503] } };
      context.first.script(failure(503), failure(503, 'The last.'));
      const error = await refusal(ask(client({ config })));
      assert.ok(error instanceof errors.InternalServerError);
      assert.equal(bodyOf(error).message, 'The last.');
      assert.equal(new Headers(error.headers).get('x-portkey-retry-attempt-count'), '-1');
      assert.deepEqual(seen(), [2, 0]);
    });

    test('a timeout', async (t) => {
      stall(t, context.first);
      const error = await refusal(ask(client({ config: { virtual_key: 'main', request_timeout: 100 } })));
      assert.ok(error instanceof errors.APIError);
      const { message, type } = bodyOf(error);
      assert.deepEqual(
        [error.status, message, type],
        [408, 'Request exceeded the timeout sent in the request: 100ms', 'timeout_error'],
      );
      assert.deepEqual(seen(), [1, 0]);
    });

    test('a timeout in a header, and a fallback behind it', async (t) => {
      stall(t, context.first);
      assert.equal(said(await ask(client({ config: 'spare', requestTimeout: 500 }))), 'You said: Hello');
      assert.deepEqual(seen(), [1, 1]);
    });

    test('conditions on metadata and parameters', async () => {
      const conditions = [
        { query: { 'metadata.plan': { $eq: 'paid' } }, then: 'b' },
        { query: { 'params.max_tokens': { $gt: 100 } }, then: 'b' },
      ];
      const targets = [{ name: 'a', ...BOTH[0] }, { name: 'b', ...BOTH[1] }];
      const config = routed('conditional', targets, { conditions, default: 'a' });
      const free = client({ config, metadata: { plan: 'free' } });
      for (const [sdk, fields, expected] of [
        [client({ config, metadata: { plan: 'paid' } }), {}, [0, 1]],
        [free, {}, [1, 1]],
        [free, { max_tokens: 101 }, [1, 2]],
        [free, { max_tokens: 100 }, [2, 2]],
      ]) {
        await ask(sdk, 'Hello', fields);
        assert.deepEqual(seen(), expected);
      }
    });

    test('no condition holds', async () => {
      const conditions = [{ query: { 'metadata.plan': { $eq: 'paid' } }, then: 'a' }];
      const config = routed('conditional', [{ name: 'a', ...BOTH[0] }], { conditions });
      const error = await refusal(ask(client({ config })));
      assert.ok(error instanceof errors.BadRequestError);
      assert.match(JSON.stringify(error.error), /Query router did not resolve to any valid target/);
      assert.deepEqual(seen(), [0, 0]);
    });

    test('a circuit breaker leaves a target alone that failed twice', async () => {
      const cb_config = { failure_threshold: 2, cooldown_interval: 30_000 };
      // What failed is kept by config: one of its own for each SDK.
      const targets = [{ ...BOTH[0], name }, BOTH[1]];
      const sdk = client({ config: routed('fallback', targets, { cb_config }) });
      context.first.script(failure(503), failure(503));
      for (const expected of [[1, 1], [2, 2], [2, 3], [2, 4]]) {
        assert.equal(said(await ask(sdk)), 'You said: Hello');
        assert.deepEqual(seen(), expected);
      }
      await ask(client({ config: routed('fallback', targets) }));
      assert.deepEqual(seen(), [3, 4], 'without the breaker it is called');
    });

    test('the cache', async () => {
      const config = { virtual_key: 'main', cache: { mode: 'simple', max_age: 60 } };
      const statuses = [];
      for (const cacheForceRefresh of [false, false, true]) {
        const headers = await told(client({ config, cacheForceRefresh, cacheNamespace: name }), 'Cache me');
        statuses.push(headers['cache-status']);
      }
      assert.deepEqual(statuses, ['MISS', 'HIT', 'REFRESH']);
      assert.deepEqual(seen(), [2, 0]);
      assert.equal(said(await ask(client({ config, cacheNamespace: name }), 'Cache me')), 'You said: Cache me');
      assert.deepEqual(seen(), [2, 0]);
    });

    test('a guardrail that denies', async () => {
      const rule = { 'default.contains': { operator: 'none', words: ['secret'] }, deny: true };
      const sdk = client({ config: { virtual_key: 'main', input_guardrails: [rule] } });
      assert.equal((await refusal(ask(sdk, 'a secret'))).status, 446);
      assert.deepEqual(seen(), [0, 0]);
      assert.equal(said(await ask(sdk)), 'You said: Hello');
    });
  });
}
