// Files and uploads through each SDK.

import assert from 'node:assert/strict';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { toFile } from 'openai';
import { forEachClient } from './scenario.mjs';

const TEXT = Buffer.from('One line.\nAnother one, with ümlauts.\n');
const PNG = Buffer.concat([Buffer.from([0x89]), Buffer.from('PNG\r\n\x1a\n'), Buffer.from([...Array(256).keys()])]);

forEachClient((context) => {
  test('a file from bytes and from a stream', async () => {
    const { files } = context.client;
    const folder = await mkdtemp(join(tmpdir(), 'loomgate-'));
    try {
      const path = join(folder, 'übung.txt');
      await writeFile(path, TEXT);
      const made = [
        await files.create({ file: await toFile(TEXT, 'übung.txt'), purpose: 'assistants' }),
        await files.create({ file: createReadStream(path), purpose: 'assistants' }),
      ];
      for (const file of made) {
        assert.deepEqual([file.filename, file.bytes, file.status], ['übung.txt', TEXT.length, 'processed']);
        const found = await files.retrieve(file.id);
        assert.deepEqual([found.id, found.purpose], [file.id, 'assistants']);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('content, list and delete', async () => {
    const { client } = context;
    const { files } = client;
    const image = await files.create({ file: await toFile(PNG, 'a.png'), purpose: 'vision' });
    const content = await files.content(image.id);
    // The Portkey SDK hands out the body as a text, in which bytes are lost.
    if (content.arrayBuffer) assert.deepEqual(Buffer.from(await content.arrayBuffer()), PNG);
    const listed = await files.list({ purpose: 'vision', limit: 1 });
    assert.deepEqual(listed.data.map(({ id }) => id), [image.id]);
    const gone = await (files.delete ?? files.del).call(files, image.id);
    assert.deepEqual([gone.id, gone.object, gone.deleted], [image.id, 'file', true]);
    await assert.rejects(files.retrieve(image.id), /No such File object/);
  });

  test('an upload in parts', async (t) => {
    const { files, uploads } = context.client;
    if (!uploads) return t.skip('not in this SDK');
    const upload = await uploads.create({
      filename: 'large.jsonl', purpose: 'fine-tune', bytes: 2 * PNG.length, mime_type: 'text/jsonl',
    });
    const parts = await Promise.all(
      [0, 1].map(async () => uploads.parts.create(upload.id, { data: await toFile(PNG, 'part') })),
    );
    const done = await uploads.complete(upload.id, { part_ids: parts.map(({ id }) => id) });
    assert.deepEqual([done.status, done.file.bytes], ['completed', 2 * PNG.length]);
    const content = await files.content(done.file.id);
    assert.deepEqual(Buffer.from(await content.arrayBuffer()), Buffer.concat([PNG, PNG]));
    const other = await uploads.create({ filename: 'a', purpose: 'batch', bytes: 1, mime_type: 'text/plain' });
    assert.equal((await uploads.cancel(other.id)).status, 'cancelled');
  });
});
