// Records of calls, exports of them, feedback and analytics, by the Portkey SDK. It has no method for records: they are
// read with its own `get`.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { describe, test } from 'node:test';
import { ask, eventually, gateway, refusal } from './gateway.mjs';
import { failure } from './upstream.mjs';

const context = gateway();
const { seen } = context;
const FALLBACK = { strategy: { mode: 'fallback' }, targets: [{ virtual_key: 'main' }, { virtual_key: 'second' }] };
const RETRY = { attempts: 1, on_status_codes: [503] };
/** 11 tokens at 2.50 and 7 at 10 US dollars per million: what the answers of the upstreams cost. */
const COST = 0.0000975;

/** A trace that nothing else belongs to, and a client whose calls do. */
function traced(options = {}) {
  const traceID = `trace-${randomUUID()}`;
  return { traceID, sdk: context.portkey({ virtualKey: 'main', ...options, traceID }) };
}

/** The records that a query finds, newest first, once there are so many. */
async function records(query, count = 1) {
  const sdk = context.portkey();
  const found = await eventually(async () => {
    const { data } = await sdk.get(`/logs?${new URLSearchParams(query)}`);
    return data.length >= count ? data : undefined;
  });
  assert.equal(found.length, count);
  return found;
}

const recordOf = async (traceID) => (await records({ trace_id: traceID }))[0];

/** What of a record the calls differ in. */
const outcome = ({ response, virtual_key, attempts, cache_status, cost }) => ({
  status: response.status,
  virtual_key,
  attempts,
  cache_status,
  cost,
});

const PLAIN = { status: 200, virtual_key: 'main', attempts: 1, cache_status: 'DISABLED', cost: COST };

describe('records', () => {
  test('a chat', async () => {
    const { traceID, sdk } = traced({ metadata: { _user: 'someone' } });
    await ask(sdk);
    const record = await recordOf(traceID);
    assert.deepEqual(outcome(record), PLAIN);
    const { kind, trace_id, provider, model, served_model, usage, metadata, request } = record;
    assert.deepEqual([kind, trace_id, provider, model, served_model], ['request', traceID, 'openai', 'gpt-4o', 'gpt-4o']);
    assert.deepEqual([usage.prompt_tokens, usage.completion_tokens], [11, 7]);
    assert.deepEqual([metadata, request.method, request.url], [{ _user: 'someone' }, 'POST', '/v1/chat/completions']);

    const { getHeaders, success, data } = await context.portkey().get(`/logs/${record.id}`);
    assert.deepEqual([typeof getHeaders, success, data.id], ['function', true, record.id]);
    assert.deepEqual(outcome(data), PLAIN);
    const { status } = await refusal(context.portkey().get(`/logs/log_${'0'.repeat(28)}`));
    assert.equal(status, 404);
  });

  test('a streamed chat', async () => {
    const { traceID, sdk } = traced();
    for await (const { choices } of await ask(sdk, 'Hello', { stream: true })) assert.equal(choices.length, 1);
    const record = await recordOf(traceID);
    assert.deepEqual(outcome(record), PLAIN);
    assert.deepEqual([record.usage.prompt_tokens, record.usage.completion_tokens], [11, 7]);
  });

  test('a retry', async () => {
    const { traceID, sdk } = traced({ config: { virtual_key: 'main', retry: RETRY } });
    context.first.script(failure(503));
    await ask(sdk);
    assert.deepEqual(outcome(await recordOf(traceID)), { ...PLAIN, attempts: 2 });
    assert.deepEqual(seen(), [2, 0]);
  });

  test('a fallback', async () => {
    const { traceID, sdk } = traced({ config: FALLBACK });
    context.first.script(failure(503));
    await ask(sdk);
    const record = await recordOf(traceID);
    assert.deepEqual(outcome(record), { ...PLAIN, virtual_key: 'second', attempts: 2 });
    assert.equal(record.response.lastUsedOptionJsonPath, 'config.targets[1]');
  });

  test('an error of the provider', async () => {
    const { traceID, sdk } = traced();
    context.first.script(failure(422));
    assert.equal((await refusal(ask(sdk))).status, 422);
    const record = await recordOf(traceID);
    assert.deepEqual([record.response.status, record.metrics.is_success, record.attempts], [422, false, 1]);
    assert.deepEqual(await records({ trace_id: traceID, status_code: '4xx' }), [record]);
  });

  test('an answer of the cache', async () => {
    const cache = { mode: 'simple', max_age: 60 };
    const { traceID, sdk } = traced({ config: { virtual_key: 'main', cache }, cacheNamespace: 'records' });
    await ask(sdk, 'Cache me');
    await ask(sdk, 'Cache me');
    const found = await records({ trace_id: traceID }, 2);
    const attempts = found.map(({ cache_status, attempts }) => [cache_status, attempts]);
    assert.deepEqual(Object.fromEntries(attempts), { MISS: 1, HIT: 0 });
    const [hit] = await records({ trace_id: traceID, cache_status: 'HIT' });
    assert.deepEqual([hit.response.status, hit.virtual_key, hit.model], [200, 'main', 'gpt-4o']);
    assert.deepEqual(seen(), [1, 0]);
  });

  test('the model calls of a run', async () => {
    const { traceID, sdk } = traced({ config: FALLBACK });
    const { id: assistant_id } = await sdk.beta.assistants.create({ model: 'gpt-4o' });
    context.first.script(failure(503));
    const thread = { messages: [{ role: 'user', content: 'Hello' }] };
    const run = await sdk.beta.threads.createAndRunPoll({ assistant_id, thread });
    const [record] = await records({ run_id: run.id, kind: 'model_call' });
    assert.deepEqual([record.trace_id, record.thread_id, record.run_id], [traceID, run.thread_id, run.id]);
    assert.deepEqual(outcome(record), { ...PLAIN, virtual_key: 'second', attempts: 2 });
    assert.deepEqual([record.usage.prompt_tokens, record.usage.completion_tokens], [11, 7]);
  });

  test('a call that went elsewhere', async () => {
    const traceID = `elsewhere-${randomUUID()}`;
    const kept = await context.portkey().logs.create({
      request: { url: 'https://elsewhere.example/v1/chat', method: 'POST', provider: 'elsewhere', body: { model: 'm' } },
      response: { status: 200, body: { usage: { prompt_tokens: 3, completion_tokens: 2 } }, response_time: 12 },
      metadata: { trace_id: traceID },
    });
    assert.equal(kept.status, 'success');
    const record = await recordOf(traceID);
    assert.deepEqual([record.kind, record.provider, record.model], ['inserted', 'elsewhere', 'm']);
    assert.deepEqual([record.usage.prompt_tokens, record.usage.completion_tokens], [3, 2]);
  });
});

describe('exports', () => {
  const FIELDS = ['trace_id', 'ai_model', 'virtual_key', 'response_status_code', 'total_units', 'cost'];
  const lines = async (url) => {
    const text = await (await fetch(url)).text();
    return text.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  };

  test('from its making to its lines', async () => {
    const { traceID, sdk } = traced();
    await ask(sdk);
    await recordOf(traceID);
    const { exports } = sdk.logs;
    const nothing = { trace_id: 'nothing' };
    const made = await exports.create({ filters: nothing, requestedData: ['trace_id'], description: 'a test' });
    assert.deepEqual([made.object, made.total], ['export', 0]);
    const changed = await exports.update({ exportId: made.id, filters: { trace_id: traceID }, requestedData: FIELDS });
    assert.deepEqual([changed.id, changed.total], [made.id, 1]);

    const shown = await exports.retrieve({ exportId: made.id });
    assert.deepEqual([shown.status, shown.description, shown.filters], ['draft', 'a test', { trace_id: traceID }]);
    assert.deepEqual([shown.requested_data, shown.total_records], [FIELDS, 1]);
    assert.equal((await refusal(exports.download({ exportId: made.id }))).status, 409, 'it was not started');
    await exports.start({ exportId: made.id });
    const listed = (await exports.list({})).data.find(({ id }) => id === made.id);
    assert.equal(listed.status, 'success');
    const { signed_url } = await exports.download({ exportId: made.id });
    assert.deepEqual(await lines(signed_url), [
      { trace_id: traceID, ai_model: 'gpt-4o', virtual_key: 'main', response_status_code: 200, total_units: 18, cost: COST },
    ]);
  });

  test('cancelled', async () => {
    const { exports } = context.portkey().logs;
    const { id: exportId } = await exports.create({ filters: {}, requestedData: ['id'], description: 'a test' });
    await exports.start({ exportId });
    const { signed_url } = await exports.download({ exportId });
    await exports.cancel({ exportId });
    assert.equal((await exports.retrieve({ exportId })).status, 'stopped');
    assert.equal((await fetch(signed_url)).status, 409);
    assert.equal((await refusal(exports.download({ exportId }))).status, 409);
  });
});

/** What the graphs and tables are asked for: the last hour, and more of a filter. */
function lastHour(filter = {}) {
  const away = (ms) => new Date(Date.now() + ms).toISOString();
  return { time_of_generation_min: away(-3_600_000), time_of_generation_max: away(60_000), ...filter };
}

test('feedback', async () => {
  const { feedback, analytics } = context.portkey();
  /** How many there are, and their weighted mean. */
  const told = async () => {
    const { count, total } = (await analytics.graphs.feedbacks_weighted(lastHour())).summary;
    assert.equal((await analytics.graphs.feedbacks_score(lastHour())).summary.count, count);
    assert.equal((await analytics.graphs.feedbacks(lastHour())).summary.count, count);
    return [count, total];
  };
  assert.deepEqual(await told(), [0, null]);
  const given = { traceID: 'a-trace', value: 5, weight: 0.5, metadata: { _user: 'someone' } };
  const { status, feedback_ids } = await feedback.create(given);
  assert.deepEqual([status, feedback_ids.length], ['success', 1]);
  const many = await feedback.create([{ traceID: 'a-trace', value: -10 }, { traceID: 'another-trace', value: 10 }]);
  assert.equal(many.feedback_ids.length, 2);
  assert.deepEqual(await told(), [3, 1]);

  const [feedbackID] = feedback_ids;
  const changed = await feedback.update({ feedbackID, value: -6, weight: 1 });
  assert.deepEqual(changed.feedback_ids, feedback_ids);
  assert.equal((await refusal(feedback.create({ ...given, value: 11 }))).status, 400);
  assert.equal((await refusal(feedback.update({ feedbackID: 'nobodys', value: 1 }))).status, 404);
  assert.deepEqual(await told(), [3, -2]);
});

describe('analytics', () => {
  // Some have paths of their own in this SDK: `errors-rate` and the like.
  test('graphs', async () => {
    const { traceID, sdk } = traced({ metadata: { _user: 'someone' } });
    await ask(sdk);
    context.first.script(failure(422));
    await refusal(ask(sdk));
    await records({ trace_id: traceID }, 2);
    const { graphs } = sdk.analytics;
    for (const [graph, expected] of Object.entries({
      requests: { total: 2 },
      cost: { total: 100 * COST }, // US cents
      latency: { total: 2 },
      tokens: { total: 18, prompt: 11, completion: 7 },
      users: { total: 1 },
      errors: { total: 1 },
      usersRequests: { total: 2, users: 1 },
      errors_rate: { total: 1, rate: 50 },
      errors_status_code: { total: 1 },
      requests_rescued: { total: 0 },
      cache_hit_rate: { total: 0 },
      cache_latency: { total: 0 },
    })) {
      const { object, summary, data_points } = await graphs[graph](lastHour({ trace_id: traceID }));
      assert.equal(object, 'analytics-graph');
      assert.ok(data_points.length > 0 && data_points.every(({ timestamp }) => timestamp), graph);
      for (const [name, figure] of Object.entries(expected)) {
        assert.equal(summary[name].toFixed(9), figure.toFixed(9), graph);
      }
    }
  });

  test('groups', async () => {
    const { traceID, sdk } = traced({ metadata: { _user: 'someone', team: 'search' } });
    await ask(sdk);
    await recordOf(traceID);
    const { groups } = sdk.analytics;
    const query = lastHour({ trace_id: traceID });
    for (const [answer, key] of [
      [groups.users(query), 'someone'],
      [groups.aiModels(query), 'gpt-4o'],
      [groups.metadata('team', query), 'search'],
      [groups.groupedData('provider', query), 'openai'],
      [groups.groupedData('status_code', query), 200],
    ]) {
      const [row, ...others] = (await answer).data;
      assert.deepEqual([String(row.key), row.requests, row.total_tokens, others], [String(key), 1, 18, []]);
    }
  });
});
