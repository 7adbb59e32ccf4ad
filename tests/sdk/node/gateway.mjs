// The gateway under test: its configuration, its keys, and both SDKs as callers of it. `gateway.py` in Node.

import { after, before, beforeEach } from 'node:test';
import { createRequire } from 'node:module';
import OpenAI from 'openai';
import { start } from './server.mjs';
import { startUpstream } from './upstream.mjs';

const { Portkey, createHeaders } = createRequire(import.meta.url)('portkey-ai');

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

[configs.spare]
json = '{"strategy":{"mode":"fallback"},"targets":[{"virtual_key":"main"},{"virtual_key":"second"}]}'

[gateway]
retries = 0

[egress]
allow = ["127.0.0.1"]
`;

/** What the tests of a file share, there once they run: `first`, `second`, `baseURL`, and makers of clients. */
export function gateway() {
  const context = {
    portkey: (options = {}) => new Portkey({ apiKey: APP_KEY, baseURL: context.baseURL, ...options }),
    openai: (options = {}) =>
      new OpenAI({ apiKey: APP_KEY, baseURL: context.baseURL, maxRetries: 0, defaultHeaders: createHeaders(options) }),
  };
  let server;
  before(async () => {
    context.first = await startUpstream();
    context.second = await startUpstream();
    server = await start(config(context.first.url, context.second.url));
    context.baseURL = server.baseURL;
  });
  after(async () => {
    await server.stop();
    await Promise.all([context.first.stop(), context.second.stop()]);
  });
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
