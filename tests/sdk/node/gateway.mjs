// The gateway under test: its configuration, its keys, and both SDKs as callers of it. `gateway.py` in Node.

import assert from 'node:assert/strict';
import { after, before, beforeEach } from 'node:test';
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import OpenAI, * as openai from 'openai';
import { start } from './server.mjs';
import { startUpstream } from './upstream.mjs';

const require = createRequire(import.meta.url);
const { Portkey, createHeaders } = require('portkey-ai');

/** The modules with the classes of the errors that each SDK throws of a chat; Portkey's index does not have them. */
export const ERRORS = { openai, portkey: require('portkey-ai/dist/src/error.js') };

const PATIENCE_MS = 10_000;

export const APP_KEY = 'lg-sdk-gateway-app-key-0000000001';
export const ADMIN_KEY = 'lg-sdk-gateway-admin-key-00000002';
export const FIRST_SECRET = 'sk-made-up-secret-of-the-first-account';
export const SECOND_SECRET = 'sk-made-up-secret-of-the-second-account';

const config = (first, second) => `
[[api_keys]]
name = "app"
key = "${APP_KEY}"
workspace = "team"
default_virtual_key = "main"

[[api_keys]]
name = "admin"
key = "${ADMIN_KEY}"
workspace = "team"
default_virtual_key = "main"
scopes = ["admin"]

[virtual_keys.main]
provider = "openai"
base_url = "${first}"
api_key = "${FIRST_SECRET}"

[virtual_keys.second]
provider = "openai"
base_url = "${second}"
api_key = "${SECOND_SECRET}"

[virtual_keys.hosted]
provider = "openai"
base_url = "${first}"
api_key = "${FIRST_SECRET}"
assistants = "upstream"

[configs.spare]
json = '{"strategy":{"mode":"fallback"},"targets":[{"virtual_key":"main"},{"virtual_key":"second"}]}'

[gateway]
retries = 0

[egress]
allow = ["127.0.0.1"]
`;

/**
 * What the tests of a file share, there once they run: `first`, `second`, `baseURL`, makers of clients, and `seen`, how
 * many calls each upstream was sent.
 */
export function gateway() {
  const context = {
    seen: () => [context.first.requests.length, context.second.requests.length],
    portkey: (options = {}) => new Portkey({ apiKey: APP_KEY, baseURL: context.baseURL, ...options }),
    openai: ({ apiKey = APP_KEY, ...options } = {}) =>
      new OpenAI({ apiKey, baseURL: context.baseURL, maxRetries: 0, defaultHeaders: createHeaders(options) }),
  };
  const running = [];
  const started = (one) => (running.push(one), one);
  before(async () => {
    context.first = started(await startUpstream());
    context.second = started(await startUpstream());
    context.baseURL = started(await start(config(context.first.url, context.second.url))).baseURL;
  });
  after(() => Promise.all(running.map((one) => one.stop())));
  beforeEach(() => {
    context.first.reset();
    context.second.reset();
  });
  return context;
}

export function ask(sdk, text = 'Hello', fields = {}) {
  return sdk.chat.completions.create({ model: 'gpt-4o', messages: [{ role: 'user', content: text }], ...fields });
}

export const said = (completion) => completion.choices[0].message.content;

/** What the gateway says of an answer in its headers, without their prefix. */
export async function told(sdk, ...question) {
  const call = ask(sdk, ...question);
  if (!(sdk instanceof OpenAI)) return (await call).getHeaders();
  const { response } = await call.withResponse();
  const named = [...response.headers].filter(([name]) => name.startsWith('x-portkey-'));
  return Object.fromEntries(named.map(([name, value]) => [name.replace('x-portkey-', ''), value]));
}

/** The error that a call ends with. */
export const refusal = (call) =>
  call.then(
    () => assert.fail('it was answered'),
    (error) => error,
  );

/** The credential that a provider was sent; nothing of the gateway's own came along. */
export function credentialOf({ headers }) {
  const own = ([name, value]) => name.startsWith('x-portkey-') || value.includes(APP_KEY);
  assert.deepEqual(Object.entries(headers).filter(own), []);
  return headers.authorization.replace('Bearer ', '');
}

/** OpenAI's SDK keeps what stands below `error`, Portkey's the whole body. */
export const bodyOf = ({ error }) => error.error ?? error;

/** What is written behind the answer's back: it is there within moments. */
export async function eventually(find) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await find();
    if (found !== undefined) return found;
    assert.ok(Date.now() < deadline, 'it never came');
    await pause(20);
  }
}
