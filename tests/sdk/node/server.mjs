// The real `loomgate` binary as a child process: a free port, a data folder of its own.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS = 30_000;
const STOP_MS = 30_000;

export const FIRST_KEY = 'lg-sdk-suite-first-workspace-0001';
export const SECOND_KEY = 'lg-sdk-suite-second-workspace-0002';

/** What clients that name a virtual key name: one for each workspace. */
export const VIRTUAL_KEYS = { [FIRST_KEY]: 'named-first', [SECOND_KEY]: 'named-second' };

const ECHO = 'provider = "echo"';

/** Two workspaces; `keyOf` and `accountOf` say by which key each is entered, and where its calls go. */
function config(keyOf, accountOf) {
  const workspaces = { first: FIRST_KEY, second: SECOND_KEY };
  const blocks = Object.entries(workspaces).map(
    ([name, key]) => `
[[api_keys]]
name = "${name}"
key = "${keyOf(key)}"
workspace = "${name}"
default_virtual_key = "${name}"

[virtual_keys.${name}]
${accountOf(key)}

[virtual_keys.${VIRTUAL_KEYS[key]}]
${accountOf(key)}
`,
  );
  return blocks.join('');
}

/** The key by which the server upstream knows the same workspace: another one, so that a leak is noticed. */
const upstreamKey = (key) => `${key}-upstream`;

function relayTo(baseURL) {
  return (key) => `provider = "openai"
base_url = "${baseURL}"
api_key = "${upstreamKey(key)}"
assistants = "upstream"`;
}

function binary() {
  return resolve(process.env.LOOMGATE_BIN ?? join(import.meta.dirname, '../../../target/debug/loomgate'));
}

/** What tells a server to keep files in a bucket, where the suite runs with one (tests/backends.py). */
function files() {
  const url = process.env.LOOMGATE_TEST_S3;
  if (!url) return {};
  const slash = url.lastIndexOf('/');
  return {
    LOOMGATE_FILES: `s3://${url.slice(slash + 1)}/${randomUUID()}`,
    AWS_ENDPOINT_URL: url.slice(0, slash),
    AWS_ACCESS_KEY_ID: 'test',
    AWS_SECRET_ACCESS_KEY: 'test',
  };
}

/** What tells a server to keep its records in PostgreSQL, where the suite runs on it. */
function database() {
  if (process.env.LOOMGATE_TEST_DATABASE !== 'postgres') return {};
  const script = join(import.meta.dirname, '../../../scripts/test-postgres.sh');
  return { LOOMGATE_DATABASE: execFileSync(script, ['database'], { encoding: 'utf8' }).trim() };
}

/** Rejects after `ms`; the timer does not keep the process alive. */
function deadline(ms, what) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(what)), ms).unref());
}

/**
 * Starts the server that the clients call. With LOOMGATE_RELAYED=1 it relays every assistants call to a second one
 * that does the work.
 */
export async function startServer() {
  if (process.env.LOOMGATE_RELAYED !== '1') return start(config((key) => key, () => ECHO));
  const upstream = await start(config(upstreamKey, () => ECHO));
  const relay = await start(config((key) => key, relayTo(upstream.baseURL)));
  return { ...relay, stop: async () => (await relay.stop(), await upstream.stop()) };
}

/** Starts a server; `stop()` sends SIGTERM and asserts exit code 0. */
export async function start(text) {
  const folder = await mkdtemp(join(tmpdir(), 'loomgate-node-'));
  const file = join(folder, 'config.toml');
  await writeFile(file, text);
  // Nothing of the developer's shell (provider keys, LOOMGATE_ options) may reach the server.
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(
    binary(),
    ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data'), '--config', file],
    { env: { PATH, HOME, ...(TMPDIR && { TMPDIR }), ...database(), ...files() }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let log = '';
  child.stderr.on('data', (chunk) => {
    log = (log + chunk).slice(-4000);
  });
  const exited = once(child, 'exit');
  const [firstLine] = await Promise.race([
    once(createInterface(child.stdout), 'line'),
    exited.then(([code]) => Promise.reject(new Error(`exit code ${code} before the first line\n${log}`))),
    deadline(START_MS, 'the server did not come up'),
  ]);
  const prefix = 'loomgate listening on ';
  assert.ok(firstLine.startsWith(prefix), `unexpected first line ${JSON.stringify(firstLine)}`);
  return {
    baseURL: `${firstLine.slice(prefix.length)}/v1`,
    async stop() {
      child.kill('SIGTERM');
      const [code] = await Promise.race([exited, deadline(STOP_MS, `still running after SIGTERM\n${log}`)]);
      await rm(folder, { recursive: true, force: true });
      assert.equal(code, 0, log);
    },
  };
}
