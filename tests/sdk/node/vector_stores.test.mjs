// Vector stores through each SDK: every call, and the helpers that upload, wait and page.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toFile } from 'openai';
import { recorder } from './recording.mjs';
import { POLL, forEachClient } from './scenario.mjs';

const FOOD = ['food.md', '# Food\n\nThe favourite food of the crew is pizza with pineapple.\n'];
const PETS = ['pets.txt', 'Our cat is called Minka. She likes Würste.'];
const BROKEN = ['broken.pdf', '%PDF-1.7\nand then nothing that a PDF has\n'];
const SMALL = { type: 'static', static: { max_chunk_size_tokens: 100, chunk_overlap_tokens: 20 } };

const file = ([name, text]) => toFile(Buffer.from(text), name);

async function uploaded(client, ...files) {
  const ids = [];
  for (const each of files) ids.push((await client.files.create({ file: await file(each), purpose: 'assistants' })).id);
  return ids;
}

/** A store with these files, all of them looked at. */
async function filled(client, ...files) {
  const store = (await client.vectorStores.create({})).id;
  const ids = await uploaded(client, ...files);
  const batch = await client.vectorStores.fileBatches.createAndPoll(store, { file_ids: ids }, ...client.options(POLL));
  assert.deepEqual([batch.status, batch.file_counts.in_progress], ['completed', 0]);
  return { store, ids };
}

const counts = ({ file_counts: of }) => [of.in_progress, of.completed, of.failed, of.cancelled, of.total];
const idsOf = (items) => items.map(({ id }) => id);

forEachClient((context) => {
  test('a store is made, changed, listed and deleted', async () => {
    const { client } = context;
    const { vectorStores } = client;
    const expiry = { anchor: 'last_active_at', days: 3 };
    const made = await vectorStores.create({ name: 'Handbook', metadata: { team: 'support' }, expires_after: expiry });
    assert.deepEqual([made.status, made.name, counts(made)], ['completed', 'Handbook', [0, 0, 0, 0, 0]]);
    assert.equal(made.expires_at, made.last_active_at + 3 * 86_400);
    const changed = await vectorStores.update(made.id, { name: 'Handbook 2', expires_after: null });
    assert.deepEqual([changed.name, changed.expires_at, changed.metadata], ['Handbook 2', null, { team: 'support' }]);
    const other = await vectorStores.create({});
    assert.deepEqual(idsOf((await vectorStores.list({ limit: 2 })).data), [other.id, made.id]);
    const every = await client.every((query) => vectorStores.list({ limit: 1, ...query }));
    assert.deepEqual(idsOf(every.slice(0, 2)), [other.id, made.id]);
    for (const id of [other.id, made.id]) {
      const gone = await vectorStores.delete(id);
      assert.deepEqual([gone.id, gone.object, gone.deleted], [id, 'vector_store.deleted', true]);
    }
    await assert.rejects(vectorStores.retrieve(made.id), /No vector store found with id/);
  });

  test('a store that begins with files', async () => {
    const { client } = context;
    const ids = await uploaded(client, FOOD, PETS);
    const store = await client.vectorStores.create({ file_ids: ids, chunking_strategy: SMALL });
    assert.deepEqual([store.status, counts(store)], ['in_progress', [2, 0, 0, 0, 2]]);
    for (const id of ids) {
      const done = await client.vectorStores.files.poll(store.id, id, ...client.options(POLL));
      assert.deepEqual([done.status, done.chunking_strategy], ['completed', SMALL]);
    }
    const now = await client.vectorStores.retrieve(store.id);
    assert.deepEqual([now.status, counts(now)], ['completed', [0, 2, 0, 0, 2]]);
  });

  test('files, one by one', async () => {
    const { client } = context;
    const { files } = client.vectorStores;
    const store = (await client.vectorStores.create({})).id;
    const [id] = await uploaded(client, FOOD);
    const body = { file_id: id, attributes: { lang: 'en', year: 2024 } };
    const put = await files.createAndPoll(store, body, ...client.options(POLL));
    assert.deepEqual([put.id, put.status, put.attributes], [id, 'completed', body.attributes]);
    const pets = await files.uploadAndPoll(store, await file(PETS), ...client.options(POLL));
    assert.equal(pets.status, 'completed');
    const waiting = await files.upload(store, await file(PETS), ...client.options({}));
    assert.equal(waiting.status, 'in_progress');
    assert.equal((await files.poll(store, waiting.id, ...client.options(POLL))).status, 'completed');
    const broken = await files.uploadAndPoll(store, await file(BROKEN), ...client.options(POLL));
    assert.deepEqual([broken.status, broken.last_error.code], ['failed', 'invalid_file']);
    assert.deepEqual(idsOf((await files.list(store, { filter: 'failed' })).data), [broken.id]);
    const every = await client.every((query) => files.list(store, { limit: 2, ...query }));
    assert.deepEqual(idsOf(every), [broken.id, waiting.id, pets.id, id]);
    const gone = await files.delete(id, { vector_store_id: store });
    assert.deepEqual([gone.id, gone.object], [id, 'vector_store.file.deleted']);
    assert.equal((await client.files.retrieve(id)).id, id);
    await assert.rejects(files.retrieve(id, { vector_store_id: store }), /No file found with id/);
  });

  test('batches', async () => {
    const { client } = context;
    const { fileBatches } = client.vectorStores;
    const store = (await client.vectorStores.create({})).id;
    const ids = await uploaded(client, FOOD, BROKEN);
    const batch = await fileBatches.createAndPoll(store, { file_ids: ids }, ...client.options(POLL));
    assert.deepEqual([batch.status, counts(batch)], ['completed', [0, 1, 1, 0, 2]]);
    const same = await fileBatches.cancel(batch.id, { vector_store_id: store });
    assert.deepEqual([same.status, counts(same)], ['completed', [0, 1, 1, 0, 2]]);
    const query = { vector_store_id: store, filter: 'failed' };
    assert.deepEqual(idsOf((await fileBatches.listFiles(batch.id, query)).data), [ids[1]]);
    const many = await Promise.all([...Array(6).keys()].map((n) => file([`note ${n}.txt`, `Note ${n} is short.`])));
    // The Portkey SDK looks again after five seconds here, whatever it is told.
    const uploadedToo = await fileBatches.uploadAndPoll(store, { files: many, fileIds: [ids[0]] }, ...client.options(POLL));
    assert.deepEqual([uploadedToo.status, counts(uploadedToo)], ['completed', [0, 7, 0, 0, 7]]);
  });

  test('a batch is cancelled', async () => {
    const { client } = context;
    const { fileBatches } = client.vectorStores;
    const store = (await client.vectorStores.create({})).id;
    const text = 'All work and no play makes a dull file. '.repeat(2_000);
    const ids = await uploaded(client, ...[...Array(24).keys()].map((n) => [`${n}.txt`, `${n} ${text}`]));
    const batch = await fileBatches.create(store, { file_ids: ids });
    assert.deepEqual([batch.status, counts(batch)], ['in_progress', [24, 0, 0, 0, 24]]);
    assert.equal((await fileBatches.cancel(batch.id, { vector_store_id: store })).status, 'cancelled');
    const settled = await fileBatches.poll(store, batch.id, ...client.options(POLL));
    const { cancelled, completed } = settled.file_counts;
    assert.ok(cancelled > 0);
    assert.equal(cancelled + completed, 24);
  });

  test('content, attributes and search', async (t) => {
    const { client } = context;
    const { files, search } = client.vectorStores;
    if (!search) return t.skip('not in this SDK');
    const { store, ids } = await filled(client, FOOD, PETS);
    const [part] = (await files.content(ids[1], { vector_store_id: store })).data;
    assert.equal(part.text, PETS[1]);
    const found = async (query) => (await client.vectorStores.search(store, query)).data;
    const [best] = await found({ query: 'What is the favourite food of the crew?' });
    assert.deepEqual([best.file_id, best.filename, best.attributes], [ids[0], 'food.md', {}]);
    assert.ok(best.score > 0 && best.score <= 1);
    assert.match(best.content[0].text, /pizza with pineapple/);
    assert.deepEqual((await recorder.last()).response_body.search_query, ['What is the favourite food of the crew?']);
    const filters = {
      type: 'and',
      filters: [
        { type: 'eq', key: 'lang', value: 'en' },
        { type: 'gte', key: 'year', value: 2024 },
      ],
    };
    assert.deepEqual(await found({ query: 'pizza', filters }), []);
    const attributes = { lang: 'en', year: 2024, draft: false };
    const changed = await files.update(ids[0], { vector_store_id: store, attributes });
    assert.deepEqual(changed.attributes, attributes);
    assert.deepEqual((await found({ query: 'pizza', filters })).map(({ filename }) => filename), ['food.md']);
    const both = { query: ['favourite food', 'cat called Minka'] };
    assert.equal((await found(both)).length, 2);
    assert.equal((await found({ ...both, max_num_results: 1 })).length, 1);
    const wrong = { type: 'like', key: 'lang', value: 'e' };
    await assert.rejects(found({ query: 'pizza', filters: wrong }), ({ status }) => status === 400);
  });

  test('filters', async (t) => {
    const { client } = context;
    if (!client.vectorStores.search) return t.skip('not in this SDK');
    const years = { 2022: 'de', 2023: 'en', 2024: 'en' };
    const ids = await uploaded(client, ...Object.keys(years).map((year) => [`${year}.txt`, `Report of ${year}: all is well.`]));
    const store = (await client.vectorStores.create({})).id;
    const attributes = Object.entries(years).map(([year, lang]) => ({ lang, year: Number(year) }));
    const files = ids.map((file_id, at) => ({ file_id, attributes: attributes[at] }));
    await client.vectorStores.fileBatches.createAndPoll(store, { files }, ...client.options(POLL));
    const of = (type, key, value) => ({ type, key, value });
    const english = of('eq', 'lang', 'en');
    const early = of('lt', 'year', 2024);
    const german = of('eq', 'lang', 'de');
    for (const [filters, expected] of [
      [english, [2023, 2024]],
      [of('ne', 'lang', 'en'), [2022]],
      [early, [2022, 2023]],
      [of('lte', 'year', 2023), [2022, 2023]],
      [of('gt', 'year', 2023), [2024]],
      [of('gte', 'year', 2023), [2023, 2024]],
      [of('in', 'year', [2022, 2024]), [2022, 2024]],
      [of('nin', 'year', [2022, 2024]), [2023]],
      [{ type: 'and', filters: [english, early] }, [2023]],
      [{ type: 'or', filters: [german, { type: 'and', filters: [english, early] }] }, [2022, 2023]],
    ]) {
      const { data } = await client.vectorStores.search(store, { query: 'report', filters });
      const names = data.map(({ filename }) => filename).sort();
      assert.deepEqual(names, expected.map((year) => `${year}.txt`), JSON.stringify(filters));
    }
  });

  test('another workspace has stores of its own', async () => {
    const { client, stranger } = context;
    const { store, ids } = await filled(client, FOOD);
    await assert.rejects(stranger.vectorStores.retrieve(store), ({ status }) => status === 404);
    await assert.rejects(stranger.vectorStores.files.list(store), ({ status }) => status === 404);
    const mine = (await stranger.vectorStores.create({})).id;
    await assert.rejects(stranger.vectorStores.files.create(mine, { file_id: ids[0] }), /were not found/);
  });
});
