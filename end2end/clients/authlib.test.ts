/** Python's Authlib, unmodified, drives code and refresh; the browser is ours. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

const attorn = demo({ name: 'authlib', tls: true });
const script = fileURLToPath(new URL('python/authlib_client.py', import.meta.url));

for (const method of ['client_secret_basic', 'client_secret_post']) {
  test(`Authlib signs a person in and refreshes, with ${method}`, async () => {
    const python = spawn(process.env['ATTORN_PYTHON'] ?? 'python3', [script], {
      env: {
        ...process.env,
        ISSUER: `${attorn.url}/`,
        REDIRECT_URI: env(attorn, 'ATTORN_REDIRECT_URI'),
        CLIENT_ID: env(attorn, 'ATTORN_CLIENT_ID'),
        CLIENT_SECRET: env(attorn, 'ATTORN_CLIENT_SECRET'),
        CA_FILE: env(attorn, 'ATTORN_CA_FILE'),
        METHOD: method,
      },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const ended = once(python, 'close');
    const lines = createInterface(python.stdout)[Symbol.asyncIterator]();
    const address = await lines.next();
    assert.ok(!address.done, 'it says where the browser must go');
    const back = await new Browser(attorn).allow(new URL(address.value));
    python.stdin.end(`${back.href}\n`);
    const outcome = await lines.next();
    assert.deepEqual(await ended, [0, null]);
    const said = JSON.parse(outcome.value ?? '{}') as Record<string, string>;
    assert.equal(said['email'], attorn.user.email);
    assert.equal(said['sub'], env(attorn, 'ATTORN_USER_ID'));
    assert.notEqual(said['first'], said['second']);
  });
}
