// Native runs whose model calls go on to a provider that counts them: by a virtual key, and by configs that come with
// the request. What runs do beside that is in `lifecycle.test.mjs` and `streaming.test.mjs`.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CLIENTS } from './clients.mjs';
import { APP_KEY, FIRST_SECRET, SECOND_SECRET, credentialOf, gateway } from './gateway.mjs';
import { recorder } from './recording.mjs';
import {
  AFTER_OUTPUTS,
  CALLS_WAIT,
  POLL,
  RUN_STARTS,
  TEXT_RUN,
  functionTool,
  names,
  newAssistant,
  newThread,
  outputsFor,
  settled,
  textOf,
  threadTexts,
  toolCalls,
} from './scenario.mjs';
import { calling, failure, saying } from './upstream.mjs';

const context = gateway();
const { seen } = context;
const FALLBACK = { strategy: { mode: 'fallback' }, targets: [{ virtual_key: 'main' }, { virtual_key: 'second' }] };
const WAYS = {
  'a virtual key': { way: { virtualKey: 'second' }, failures: 0, calls: [0, 1] },
  'an inline config, which falls back': { way: { config: FALLBACK }, failures: 1, calls: [1, 1] },
};

/** All that the upstreams were sent are chats with this model, each paid with their own account. */
function paidApart(model) {
  for (const [upstream, secret] of [[context.first, FIRST_SECRET], [context.second, SECOND_SECRET]]) {
    for (const request of upstream.requests) {
      const { method, path, body } = request;
      assert.deepEqual([method, path, body.model], ['POST', '/v1/chat/completions', model]);
      assert.equal(credentialOf(request), secret);
    }
  }
}

/** Lets the first upstream fail so often. */
const failing = (times) => context.first.script(...Array.from({ length: times }, () => failure(503)));

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, () => {
    for (const [called, { way, failures, calls }] of Object.entries(WAYS)) {
      const furnished = async (text, tools = []) => {
        const client = make(context.baseURL, APP_KEY, way);
        const assistant_id = await newAssistant(client, { model: 'gpt-4o', instructions: 'Be brief.', tools });
        return { client, assistant_id, thread_id: await newThread(client, text), runs: client.beta.threads.runs };
      };

      test(`createAndPoll: ${called}`, async () => {
        const { client, assistant_id, thread_id, runs } = await furnished('Good day');
        failing(failures);
        const run = await runs.createAndPoll(thread_id, { assistant_id }, ...client.options(POLL));
        assert.deepEqual([run.status, run.usage.total_tokens], ['completed', 18]);
        assert.deepEqual(await threadTexts(client, thread_id), ['Good day', 'You said: Good day']);
        assert.deepEqual(seen(), calls);
        paidApart('gpt-4o');
        const { messages } = context.second.requests[0].body;
        assert.deepEqual(messages.map(({ content }) => content), ['Be brief.', 'Good day']);
      });

      test(`a streamed run: ${called}`, async () => {
        const { client, assistant_id, thread_id, runs } = await furnished('one two three');
        failing(failures);
        const stream = await runs.stream(thread_id, { assistant_id });
        let text = '';
        stream.on('textDelta', ({ value }) => (text += value));
        const [message] = await stream.finalMessages();
        assert.deepEqual([text, textOf(message)], Array(2).fill('You said: one two three'));
        assert.equal((await stream.finalRun()).status, 'completed');
        assert.deepEqual(names((await recorder.lastStream()).response_sse), TEXT_RUN);
        assert.deepEqual(await threadTexts(client, thread_id), ['one two three', text]);
        assert.deepEqual(seen(), calls);
        paidApart('gpt-4o');
      });

      test(`submitToolOutputs: ${called}`, async () => {
        const { client, assistant_id, thread_id, runs } = await furnished('How is Oslo?', [functionTool('weather')]);
        failing(failures);
        context.second.script(calling('weather', { city: 'Oslo' }), saying('It ', 'rains.'));
        const waiting = await runs.createAndPoll(thread_id, { assistant_id }, ...client.options(POLL));
        assert.equal(waiting.status, 'requires_action');
        const [call] = toolCalls(waiting);
        assert.deepEqual([call.function.name, JSON.parse(call.function.arguments)], ['weather', { city: 'Oslo' }]);
        assert.deepEqual(seen(), calls);

        // The config stays with the run: its next turn takes the same way.
        failing(failures);
        const tool_outputs = outputsFor(waiting, { weather: 'rain' });
        await runs.submitToolOutputs(waiting.id, { thread_id, tool_outputs });
        assert.equal((await settled(client, { thread_id, run_id: waiting.id })).status, 'completed');
        assert.deepEqual(await threadTexts(client, thread_id), ['How is Oslo?', 'It rains.']);
        assert.deepEqual(seen(), calls.map((count) => 2 * count));
        paidApart('gpt-4o');
        const { content, role, tool_call_id } = context.second.requests[1].body.messages.at(-1);
        assert.deepEqual([role, content, tool_call_id], ['tool', 'rain', call.id]);
      });

      test(`submitToolOutputsStream: ${called}`, async () => {
        const { assistant_id, thread_id, runs } = await furnished('How is Oslo?', [functionTool('weather')]);
        failing(failures);
        context.second.script(calling('weather', { city: 'Oslo' }), saying('It ', 'rains.'));
        const waiting = await (await runs.stream(thread_id, { assistant_id })).finalRun();
        assert.deepEqual(names((await recorder.lastStream()).response_sse), [...RUN_STARTS, ...CALLS_WAIT]);
        failing(failures);
        const tool_outputs = outputsFor(waiting, { weather: 'rain' });
        const stream = await runs.submitToolOutputsStream(waiting.id, { thread_id, tool_outputs });
        const [message] = await stream.finalMessages();
        assert.equal(textOf(message), 'It rains.');
        assert.deepEqual(names((await recorder.lastStream()).response_sse), AFTER_OUTPUTS);
        assert.deepEqual(seen(), calls.map((count) => 2 * count));
      });
    }

    test('a run that no target answers', async () => {
      const client = make(context.baseURL, APP_KEY, { config: FALLBACK });
      const assistant_id = await newAssistant(client, { model: 'gpt-4o' });
      const thread_id = await newThread(client, 'Hello');
      context.first.script(failure(503));
      context.second.script(failure(503, 'Nobody is here.'));
      const run = await client.beta.threads.runs.createAndPoll(thread_id, { assistant_id }, ...client.options(POLL));
      assert.deepEqual([run.status, run.last_error.code], ['failed', 'server_error']);
      assert.deepEqual(seen(), [1, 1]);
      assert.deepEqual(await threadTexts(client, thread_id), ['Hello']);
    });
  });
}
