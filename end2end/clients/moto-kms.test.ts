/**
 * AWS KMS by moto, unmodified, with its check of signatures and policies switched
 * on: a whole deployment whose vault is wrapped by a key in it.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary } from '../support/server.ts';
import { demo, env } from './support/demo.ts';

interface Kms {
  endpoint: string;
  keyId: string;
  accessKeyId: string;
  secretAccessKey: string;
}

const script = fileURLToPath(new URL('python/moto_kms.py', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'attorn-kms-'));
const config = join(folder, 'attorn.toml');
const python = spawn(process.env['ATTORN_MOTO_PYTHON'] ?? 'python3', [script], { stdio: ['pipe', 'pipe', 'ignore'] });
const [line] = (await once(createInterface(python.stdout), 'line')) as [string];
const kms = JSON.parse(line) as Kms;
const section = { region: 'eu-central-1', key_id: kms.keyId, endpoint: kms.endpoint };
const lines = Object.entries(section).map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`);
writeFileSync(config, `[vault]\nprovider = "aws_kms"\n[vault.aws_kms]\n${lines.join('')}`);

const attorn = demo({
  name: 'moto-kms',
  link: ['slack'],
  arguments: ['--config', config],
  environment: { AWS_ACCESS_KEY_ID: kms.accessKeyId, AWS_SECRET_ACCESS_KEY: kms.secretAccessKey },
});

after(async () => {
  if (python.exitCode === null) {
    python.stdin.end();
    await once(python, 'exit');
  }
  rmSync(folder, { recursive: true, force: true });
});

test('an account whose data key KMS wrapped gives its token', async () => {
  const answer = await fetch(`${attorn.url}/oauth/token`, {
    method: 'POST',
    body: new URLSearchParams({
      client_id: env(attorn, 'ATTORN_CLIENT_ID'),
      client_secret: env(attorn, 'ATTORN_CLIENT_SECRET'),
      grant_type: 'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token',
      subject_token: env(attorn, 'ATTORN_REFRESH_TOKEN'),
      subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token',
      requested_token_type: 'http://auth0.com/oauth/token-type/federated-connection-access-token',
      connection: env(attorn, 'ATTORN_CONNECTION_SLACK'),
    }),
  });
  assert.equal(answer.status, 200, await answer.clone().text());
  assert.match(((await answer.json()) as { access_token: string }).access_token, /^xox/);
});

test('credentials that KMS refuses start nothing, and are not said', () => {
  const wrong = 'a'.repeat(40);
  const words = ['migrate', '--config', config];
  const { status, stderr } = spawnSync(binary, words, {
    encoding: 'utf8',
    env: {
      ...process.env,
      ATTORN_DATABASE__URL: `sqlite:${join(folder, 'other.db')}`,
      AWS_ACCESS_KEY_ID: kms.accessKeyId,
      AWS_SECRET_ACCESS_KEY: wrong,
    },
  });
  assert.notEqual(status, 0);
  assert.match(stderr, /AWS KMS (refused|answered)/);
  assert.ok(!stderr.includes(wrong));
});
