// Files that messages attach for search, and vector stores that are made along with assistants and threads.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { POLL, forEachClient } from './scenario.mjs';

const FOOD = ['food.md', '# Food\n\nThe favourite food of the crew is pizza with pineapple.\n'];
const PETS = ['pets.txt', 'Our cat is called Minka. She likes Würste.'];
const SEARCH = '/echo call file_search {"queries":["favourite food"]}';
const WEEK = { anchor: 'last_active_at', days: 7 };

async function uploaded(client, ...files) {
  const ids = [];
  for (const [name, text] of files) {
    const file = await toFile(Buffer.from(text), name);
    ids.push((await client.files.create({ file, purpose: 'assistants' })).id);
  }
  return ids;
}

const searcher = (client, more) => client.beta.assistants.create({ model: 'echo', tools: [{ type: 'file_search' }], ...more });

const attaching = (files, content = 'Look.') => ({
  role: 'user',
  content,
  attachments: files.map((file_id) => ({ file_id, tools: [{ type: 'file_search' }] })),
});

/** The only store that an assistant or a thread names. */
async function storeOf(client, { tool_resources }) {
  const { vector_store_ids: ids, ...rest } = tool_resources.file_search;
  assert.deepEqual([ids.length, rest], [1, {}]);
  return client.vectorStores.retrieve(ids[0]);
}

forEachClient((context) => {
  test('stores come along with assistants and threads', async () => {
    const { client } = context;
    const [food, pets] = await uploaded(client, FOOD, PETS);
    const helper = { file_search: { vector_stores: [{ file_ids: [food], metadata: { team: 'crew' } }] } };
    const ofAssistant = await storeOf(client, await searcher(client, { tool_resources: helper }));
    assert.deepEqual([ofAssistant.file_counts.total, ofAssistant.metadata], [1, { team: 'crew' }]);
    assert.equal(ofAssistant.expires_after, null);
    const thread = await client.beta.threads.create({ tool_resources: helper, messages: [attaching([pets])] });
    const ofThread = await storeOf(client, thread);
    assert.deepEqual([ofThread.file_counts.total, ofThread.expires_after], [2, WEEK]);
  });

  test('a run cites what its thread began with', async () => {
    const { client, client: { beta } } = context;
    const [food, pets] = await uploaded(client, FOOD, PETS);
    const assistant_id = (await searcher(client)).id;
    const thread = { messages: [attaching([food, pets], SEARCH)] };
    const run = await beta.threads.createAndRunPoll({ assistant_id, thread }, ...client.options(POLL));
    assert.equal(run.status, 'completed');
    const [answer] = (await beta.threads.messages.list(run.thread_id, { run_id: run.id })).data;
    assert.deepEqual(answer.content[0].text.annotations.map((note) => note.file_citation.file_id), [food]);
    const store = await storeOf(client, await beta.threads.retrieve(run.thread_id));
    assert.deepEqual([store.file_counts.completed, store.expires_after], [2, WEEK]);
  });

  test('files join the store of their thread', async () => {
    const { client, client: { beta } } = context;
    const [food, pets] = await uploaded(client, FOOD, PETS);
    const thread = (await beta.threads.create({})).id;
    const message = await beta.threads.messages.create(thread, attaching([pets]));
    assert.deepEqual(message.attachments, attaching([pets]).attachments);
    const store = await storeOf(client, await beta.threads.retrieve(thread));
    const more = { assistant_id: (await searcher(client)).id, additional_messages: [attaching([food, pets])] };
    const run = await beta.threads.runs.createAndPoll(thread, more, ...client.options(POLL));
    assert.equal(run.status, 'completed');
    const now = await storeOf(client, await beta.threads.retrieve(thread));
    assert.deepEqual([now.id, now.file_counts.total], [store.id, 2]);
  });

  test('what is not there, or can not be searched', async () => {
    const { client, client: { beta } } = context;
    const named = { file_search: { vector_store_ids: ['vs_none'] } };
    await assert.rejects(searcher(client, { tool_resources: named }), /No vector store found with id 'vs_none'/);
    const [photo] = await uploaded(client, ['photo.png', 'no words']);
    await assert.rejects(beta.threads.create({ messages: [attaching([photo])] }), /Files with extensions \[\.png\]/);
  });
});
