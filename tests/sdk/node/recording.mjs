// A `fetch` that lets everything through and keeps a copy of every exchange.
//
// With LOOMGATE_RECORD=FILE each exchange is also appended to FILE as one JSON line, in the form that
// `tests/sdk/python/recording.py` describes; `run.sh` has the lines validated against the Python models.

import { appendFileSync } from 'node:fs';

/** The whole events of an SSE text; a torn last one is left out. */
export function parseEvents(text) {
  const events = [];
  for (const block of text.split('\n\n').slice(0, -1)) {
    const fields = block
      .split('\n')
      .filter((line) => line && !line.startsWith(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).replace(/^ /, '')]);
    if (fields.length === 0) continue;
    const data = fields.filter(([key]) => key === 'data').map(([, value]) => value).join('\n');
    const event = fields.find(([key]) => key === 'event')?.[1] ?? null;
    events.push({ event, data: data === '[DONE]' ? data : JSON.parse(data) });
  }
  return events;
}

function parseJson(text) {
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The same JSON with everything beyond ASCII escaped: some readers take U+2028 for the end of a line. */
function ascii(json) {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const networkFetch = globalThis.fetch;

class Recorder {
  exchanges = [];
  #pending = new Set();

  /** Hand this to the SDK as its `fetch`. */
  fetch = async (url, init) => {
    const response = await networkFetch(url, init);
    // The SDK asks what `fetch` can do with forms, of a `data:` URL.
    if (!/^https?:/.test(String(url))) return response;
    if (!response.body) {
      this.#keep(url, init, response, '');
      return response;
    }
    const [forClient, forUs] = response.body.tee();
    const reading = this.#read(url, init, response, forUs).finally(() => this.#pending.delete(reading));
    this.#pending.add(reading);
    return new Response(forClient, response);
  };

  async #read(url, init, response, stream) {
    const decoder = new TextDecoder();
    let text = '';
    let complete = true;
    try {
      for await (const chunk of stream) text += decoder.decode(chunk, { stream: true });
    } catch {
      complete = false; // the client hung up
    }
    this.#keep(url, init, response, text, complete);
  }

  #keep(url, init, response, text, complete = true) {
    const { pathname, searchParams } = new URL(url);
    const headers = Object.fromEntries(response.headers);
    const line = {
      method: (init?.method ?? 'get').toUpperCase(),
      path: pathname.replace(/^\/v1/, ''),
      query: Object.fromEntries(searchParams),
      request_body: init?.body instanceof FormData ? null : parseJson(init?.body),
      status: response.status,
      response_headers: headers,
    };
    if (headers['content-type']?.startsWith('text/event-stream')) line.response_sse = parseEvents(text);
    else line.response_body = parseJson(text);
    this.exchanges.push({ ...line, complete, request_headers: Object.fromEntries(new Headers(init?.headers)) });
    if (process.env.LOOMGATE_RECORD && complete) {
      appendFileSync(process.env.LOOMGATE_RECORD, `${ascii(JSON.stringify(line))}\n`);
    }
  }

  /** All exchanges, once those under way are in. */
  async settled() {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    return this.exchanges;
  }

  async last() {
    return (await this.settled()).at(-1);
  }

  async lastStream() {
    return (await this.settled()).findLast((exchange) => exchange.response_sse);
  }
}

/** One per process: each test file is a process, and its tests run one after the other. */
export const recorder = new Recorder();
