// The Node clients under test, and the few places where their methods differ.
//
// `openai` calls with `Authorization: Bearer KEY`; `portkey` with a gateway key and a virtual key, unless told otherwise.
// Both share `client.beta.*`, argument order included.

import { createRequire } from 'node:module';
import OpenAI, * as openai from 'openai';
import { recorder } from './recording.mjs';
import { VIRTUAL_KEYS } from './server.mjs';

const require = createRequire(import.meta.url);
const { Portkey, createHeaders } = require('portkey-ai');

// The Portkey SDK has no `fetch` option: it calls the global one.
globalThis.fetch = recorder.fetch;

function openaiClient(baseURL, apiKey, way = {}) {
  const defaultHeaders = createHeaders(way);
  const sdk = new OpenAI({ apiKey, baseURL, maxRetries: 0, defaultHeaders, fetch: recorder.fetch });
  return {
    name: 'openai',
    beta: sdk.beta,
    files: sdk.files,
    uploads: sdk.uploads,
    vectorStores: sdk.vectorStores,
    models: sdk.models,
    errors: openai,
    options: (options) => [options],
    async every(list) {
      const items = [];
      for await (const item of list({})) items.push(item);
      return items;
    },
  };
}

function portkeyClient(baseURL, apiKey, way = { virtualKey: VIRTUAL_KEYS[apiKey] ?? 'first' }) {
  const sdk = new Portkey({ apiKey, baseURL, ...way });
  return {
    name: 'portkey',
    beta: sdk.beta,
    files: sdk.files,
    vectorStores: sdk.vectorStores,
    models: sdk.models,
    // Thrown are the errors of the openai release that this SDK brings along.
    errors: createRequire(require.resolve('portkey-ai'))('openai'),
    // Gateway parameters come before the request options.
    options: (options) => [undefined, options],
    // This SDK hands out bare pages: follow the cursor.
    async every(list) {
      const items = [];
      let page;
      do {
        page = await list(page ? { after: items.at(-1).id } : {});
        items.push(...page.data);
      } while (page.has_more);
      return items;
    },
  };
}

/** Makers of clients, of a base URL, a key, and the way (a virtual key, a config) where it is not the key's own. */
export const CLIENTS = { openai: openaiClient, portkey: portkeyClient };
