// Virtual keys, API keys and configs, by the Portkey SDK's own methods.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ADMIN_KEY, ask, gateway, said } from './gateway.mjs';

const context = gateway();
const SECRET = 'sk-made-up-secret-that-nobody-is-ever-shown';
const admin = () => context.portkey({ apiKey: ADMIN_KEY });

test('a virtual key from its making to its end', async () => {
  const { virtualKeys } = admin();
  const { slug } = await virtualKeys.create({
    name: 'Mine',
    provider: 'openai',
    key: SECRET,
    custom_host: context.second.url,
  });
  await ask(context.portkey({ virtualKey: slug }));
  assert.equal(context.second.requests[0].headers.authorization, `Bearer ${SECRET}`);

  const shown = await virtualKeys.retrieve({ slug });
  assert.deepEqual([shown.slug, shown.status, shown.object], [slug, 'active', 'virtual-key']);
  const { data, total } = await virtualKeys.list();
  assert.equal(total, data.length);
  assert.ok(data.some((key) => key.slug === slug));
  assert.ok(!JSON.stringify([shown, data]).includes(SECRET));

  await virtualKeys.update({ slug, name: 'Ours', note: 'changed' });
  assert.equal((await virtualKeys.retrieve({ slug })).name, 'Ours');
  await virtualKeys.delete({ slug });
  await assert.rejects(ask(context.portkey({ virtualKey: slug })), { status: 400 });
});

test('a provider is a virtual key', async () => {
  const { providers } = admin();
  const made = await providers.create({
    name: 'Ours',
    integration_id: 'openai',
    slug: 'ours',
    key: SECRET,
    custom_host: context.second.url,
  });
  assert.equal(made.slug, 'ours');
  await ask(context.portkey({ provider: '@ours' }));
  await ask(context.portkey({ config: { override_params: { model: '@ours/gpt-4o' } } }));
  assert.equal(context.second.requests.length, 2);
  await providers.update({ slug: 'ours', name: 'Theirs' });
  assert.equal((await providers.retrieve({ slug: 'ours' })).name, 'Theirs');
  assert.ok((await providers.list({})).data.some(({ slug }) => slug === 'ours'));
  await providers.delete({ slug: 'ours' });
  await assert.rejects(providers.retrieve({ slug: 'ours' }), { status: 404 });
});

test('an API key from its making to its end', async () => {
  const { apiKeys } = admin();
  const made = await apiKeys.create({
    type: 'workspace',
    'sub-type': 'service',
    name: 'app',
    scopes: ['completions.write'],
    defaults: { virtual_key: 'main' },
  });
  assert.equal(said(await ask(context.portkey({ apiKey: made.key }))), 'You said: Hello');
  const shown = await apiKeys.retrieve({ id: made.id });
  assert.deepEqual([shown.name, shown.scopes], ['app', ['completions.write']]);
  assert.ok((await apiKeys.list({ page_size: 100 })).data.some(({ id }) => id === made.id));
  await apiKeys.update({ id: made.id, name: 'renamed', scopes: ['logs.list'] });
  await assert.rejects(ask(context.portkey({ apiKey: made.key })), { status: 403 });
  await apiKeys.delete({ id: made.id });
  await assert.rejects(ask(context.portkey({ apiKey: made.key })), { status: 401 });
});

test('a config from its making to its end', async () => {
  const { configs } = admin();
  const made = await configs.create({ name: 'Where it goes', config: { virtual_key: 'second' } });
  await ask(context.portkey({ config: made.slug }));
  assert.equal(context.second.requests.length, 1);
  const changed = await configs.update({ slug: made.slug, config: { virtual_key: 'main' } });
  assert.notEqual(changed.version_id, made.version_id);
  await ask(context.portkey({ config: made.slug }));
  assert.equal(context.first.requests.length, 1);
  assert.equal((await configs.retrieve({ slug: made.slug })).name, 'Where it goes');
  assert.ok((await configs.list()).data.some(({ slug }) => slug === made.slug));
  await configs.delete({ slug: made.slug });
  await assert.rejects(ask(context.portkey({ config: made.slug })), { status: 400 });
});
