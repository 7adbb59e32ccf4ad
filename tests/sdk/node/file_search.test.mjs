// Runs that search files, through each SDK: the call that the engine carries out, its step, and the citations in the
// answer. The model is an upstream that says what the test scripts.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { toFile } from 'openai';
import { gateway } from './gateway.mjs';
import { recorder } from './recording.mjs';
import { MESSAGE_STEP, POLL, RUN_STARTS, names } from './scenario.mjs';
import { calling, saying } from './upstream.mjs';

const context = gateway();
const FOOD = '# Food\n\nThe favourite food of the crew is pizza with pineapple.\n';
const MARK = /【[0-9]+:[0-9]+†[^】]*】/g;
const CONTENT = 'step_details.tool_calls[*].file_search.results[*].content';
const SEARCH_STEP = [
  'thread.run.step.created',
  'thread.run.step.in_progress',
  'thread.run.step.delta',
  'thread.run.step.completed',
];
const SEARCHED_RUN = [...RUN_STARTS, ...SEARCH_STEP, ...MESSAGE_STEP, 'thread.run.completed', 'done'];

const SDKS = {
  openai: { make: () => context.openai({}, { fetch: recorder.fetch }), options: (options) => [options] },
  portkey: { make: () => context.portkey({ virtualKey: 'main' }), options: (options) => [undefined, options] },
};

/** The model's answer, `NUMBERS` in it being those of the first passage that it was given. */
const citing = (...words) => ({ body }) => {
  const numbers = body.messages.at(-1).content.match(MARK)[0].slice(1).split('†')[0];
  return saying(...words.map((word) => word.replace('NUMBERS', numbers)));
};

/** Offsets are of code points, where JavaScript counts code units. */
const points = (text, start, end) => Array.from(text).slice(start, end).join('');

async function furnished(client, { options }) {
  const file = await client.files.create({ file: await toFile(Buffer.from(FOOD), 'food.md'), purpose: 'assistants' });
  const store = await client.vectorStores.create({});
  await client.vectorStores.fileBatches.createAndPoll(store.id, { file_ids: [file.id] }, ...options(POLL));
  const assistant = await client.beta.assistants.create({
    model: 'gpt-4o',
    tools: [{ type: 'file_search' }],
    tool_resources: { file_search: { vector_store_ids: [store.id] } },
  });
  const messages = [{ role: 'user', content: 'What does the crew like to eat?' }];
  const thread = await client.beta.threads.create({ messages });
  return { file_id: file.id, assistant_id: assistant.id, thread_id: thread.id };
}

for (const [name, sdk] of Object.entries(SDKS)) {
  describe(name, () => {
    test('a streamed run searches and cites', async () => {
      const client = sdk.make();
      const { file_id, assistant_id, thread_id } = await furnished(client, sdk);
      const words = ['Größe 👩‍🍳', ' egal: pizza', ' 【', 'NUMBERS', '†so', 'urce】', ', always', '【99:0†food.md】.'];
      context.first.script(calling('file_search', { queries: ['favourite food'] }), citing(...words));
      const stream = await client.beta.threads.runs.stream(thread_id, { assistant_id });
      const [message] = await stream.finalMessages();
      const events = (await recorder.lastStream()).response_sse;
      assert.deepEqual(names(events), SEARCHED_RUN);
      assert.match(context.first.requests[1].body.messages.at(-1).content, /pizza with pineapple/);

      const { value, annotations } = message.content[0].text;
      const [mark] = value.match(MARK);
      assert.equal(value, `Größe 👩‍🍳 egal: pizza ${mark}, always.`);
      assert.equal(annotations.length, 1);
      const [note] = annotations;
      assert.deepEqual([note.type, note.text, note.file_citation.file_id], ['file_citation', mark, file_id]);
      assert.equal(points(value, note.start_index, note.end_index), mark);

      const deltas = events.filter(({ event }) => event === 'thread.message.delta').map(({ data }) => data.delta.content[0].text);
      const cited = deltas.filter((delta) => delta.annotations?.length);
      assert.deepEqual([cited.length, cited[0].value, cited[0].annotations[0].index], [1, mark, 0]);
      assert.ok(deltas.every((delta) => delta === cited[0] || !/[【】]/.test(delta.value)));
      const step = events.find(({ event }) => event === 'thread.run.step.completed').data;
      const [result] = step.step_details.tool_calls[0].file_search.results;
      assert.deepEqual([result.file_id, result.file_name, 'content' in result], [file_id, 'food.md', false]);
    });

    test('steps with and without content', async (t) => {
      const client = sdk.make();
      const { file_id, assistant_id, thread_id } = await furnished(client, sdk);
      context.first.script(calling('file_search', { queries: ['food'] }), citing('Pizza【NUMBERS†source】.'));
      const run = await client.beta.threads.runs.createAndPoll(thread_id, { assistant_id }, ...sdk.options(POLL));
      assert.equal(run.status, 'completed');
      if (name === 'portkey') return t.skip('this SDK has no `include`');
      const list = (query) => client.beta.threads.runs.steps.list(run.id, { thread_id, order: 'asc', ...query });
      const resultOf = ({ step_details }) => step_details.tool_calls[0].file_search.results[0];
      const [plain] = (await list({})).data;
      assert.deepEqual([resultOf(plain).file_id, resultOf(plain).content], [file_id, undefined]);
      const [whole] = (await list({ include: [CONTENT] })).data;
      assert.deepEqual(resultOf(whole).content, [{ type: 'text', text: FOOD.trim() }]);
      const one = await client.beta.threads.runs.steps.retrieve(plain.id, { thread_id, run_id: run.id, include: [CONTENT] });
      assert.deepEqual(resultOf(one), resultOf(whole));
    });
  });
}
