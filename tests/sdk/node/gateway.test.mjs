// Calls that go on to a provider, and every way to say who pays, through both SDKs. `test_gateway_calls.py` and
// `test_gateway_authorization.py` say more; here is what these SDKs send differently.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FIRST_SECRET, SECOND_SECRET, ask, bodyOf, credentialOf, gateway, said } from './gateway.mjs';
import { failure } from './upstream.mjs';

const context = gateway();
const OWN = 'sk-made-up-secret-of-the-caller';
const WEATHER = { type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } };

const SDKS = {
  openai: () => context.openai(),
  // This SDK puts the gateway's key into Authorization, too: it has to stay here.
  portkey: () => context.portkey({ virtualKey: 'main' }),
};

function paidWith(upstream) {
  assert.equal(upstream.requests.length, 1);
  return credentialOf(upstream.requests[0]);
}

for (const [name, make] of Object.entries(SDKS)) {
  describe(name, () => {
    test('a chat', async () => {
      assert.equal(said(await ask(make(), 'Good day')), 'You said: Good day');
      assert.equal(paidWith(context.first), FIRST_SECRET);
    });

    test('a streamed chat', async () => {
      let text = '';
      let finish;
      for await (const chunk of await ask(make(), 'one two', { stream: true })) {
        assert.equal(chunk.choices.length, 1);
        text += chunk.choices[0].delta.content ?? '';
        finish = chunk.choices[0].finish_reason;
      }
      assert.deepEqual([text, finish], ['You said: one two', 'stop']);
    });

    test('counts that were asked for', async () => {
      const chunks = [];
      const options = { stream: true, stream_options: { include_usage: true } };
      for await (const chunk of await ask(make(), 'Hello', options)) chunks.push(chunk);
      assert.equal(chunks.at(-1).usage.total_tokens, 18);
    });

    test('functions', async () => {
      const { choices } = await ask(make(), 'What is the weather?', { tools: [WEATHER] });
      assert.equal(choices[0].message.tool_calls[0].function.name, 'weather');
      assert.deepEqual(context.first.requests[0].body.tools, [WEATHER]);
    });

    test('embeddings', async () => {
      const body = { model: 'text-embedding-3-small', input: ['four', 'sixsix'], encoding_format: 'float' };
      const { data } = await make().embeddings.create(body);
      assert.deepEqual(data.map(({ embedding }) => embedding[0]), [4, 6]);
    });

    test('models', async () => {
      const { data } = await make().models.list();
      assert.deepEqual(data.map(({ id }) => id), ['gpt-4o']);
    });

    test('errors of the provider pass', async () => {
      for (const status of [400, 401, 404, 422]) {
        context.first.script(failure(status, 'Of the provider.'));
        await assert.rejects(ask(make()), (error) => {
          assert.deepEqual([error.status, bodyOf(error).message], [status, 'Of the provider.']);
          return true;
        });
      }
    });
  });
}

describe('who pays', () => {
  const stored = {
    'A: a virtual key': { virtualKey: 'second' },
    'C: a config, as an object': { config: { virtual_key: 'second' } },
    'C: a config, as a text': { config: '{"provider":"@second"}' },
    'E: a provider by its slug': { provider: '@second' },
    'E: before a credential of its own': { provider: '@second', Authorization: OWN },
  };
  for (const [name, options] of Object.entries(stored)) {
    test(name, async () => {
      await ask(context.portkey(options));
      assert.equal(paidWith(context.second), SECOND_SECRET);
    });
  }

  test('F: the slug in the model', async () => {
    await ask(context.portkey(), 'Hello', { model: '@second/gpt-4o-mini' });
    assert.equal(paidWith(context.second), SECOND_SECRET);
    assert.equal(context.second.requests[0].body.model, 'gpt-4o-mini');
  });

  test('B: a provider and a credential of its own', async () => {
    const answer = await ask(context.portkey({ provider: 'echo', Authorization: OWN }), 'Hello', { model: 'echo' });
    assert.equal(answer.getHeaders().provider, 'echo');
  });

  test('D: another host', async () => {
    const customHost = context.second.url;
    await ask(context.portkey({ provider: 'openai', Authorization: OWN, customHost }));
    assert.equal(paidWith(context.second), OWN);
  });

  test('a stored credential stays at home', async () => {
    const sdk = context.portkey({ virtualKey: 'main', customHost: context.second.url });
    await assert.rejects(ask(sdk), { status: 400 });
    assert.equal(context.second.requests.length, 0);
  });

  test('an unknown virtual key', async () => {
    await assert.rejects(ask(context.portkey({ virtualKey: 'nobodys' })), (error) => {
      assert.deepEqual([error.status, bodyOf(error).code], [400, 'invalid_virtual_key']);
      return true;
    });
  });
});
