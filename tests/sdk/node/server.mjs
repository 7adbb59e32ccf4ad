// The real `loomgate` binary as a child process: a free port, a data folder of its own.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS = 30_000;
const STOP_MS = 30_000;

export const FIRST_KEY = 'lg-sdk-suite-first-workspace-0001';
export const SECOND_KEY = 'lg-sdk-suite-second-workspace-0002';

const CONFIG = `
[[api_keys]]
name = "first"
key = "${FIRST_KEY}"
workspace = "first"
default_virtual_key = "echo"

[[api_keys]]
name = "second"
key = "${SECOND_KEY}"
workspace = "second"
default_virtual_key = "echo"

[virtual_keys.echo]
provider = "echo"

[virtual_keys.echo-two]
provider = "echo"
`;

function binary() {
  return resolve(process.env.LOOMGATE_BIN ?? join(import.meta.dirname, '../../../target/debug/loomgate'));
}

/** Rejects after `ms`; the timer does not keep the process alive. */
function deadline(ms, what) {
  return new Promise((_, reject) => setTimeout(() => reject(new Error(what)), ms).unref());
}

/** Starts a server; `stop()` sends SIGTERM and asserts exit code 0. */
export async function startServer() {
  const folder = await mkdtemp(join(tmpdir(), 'loomgate-node-'));
  const config = join(folder, 'config.toml');
  await writeFile(config, CONFIG);
  // Nothing of the developer's shell (provider keys, LOOMGATE_ options) may reach the server.
  const { PATH, HOME, TMPDIR } = process.env;
  const child = spawn(
    binary(),
    ['serve', '--listen', '127.0.0.1:0', '--data-dir', join(folder, 'data'), '--config', config],
    { env: { PATH, HOME, ...(TMPDIR && { TMPDIR }) }, stdio: ['ignore', 'pipe', 'pipe'] },
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
