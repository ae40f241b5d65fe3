/**
 * Auth0's SDK for agents in Python, `auth0-ai` with `auth0-ai-langchain`, unmodified,
 * with its tools in a real LangGraph graph.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { decide, demo, env } from './support/demo.ts';

const attorn = demo({ name: 'auth0-ai-python', tls: true, link: ['slack'] });
const script = fileURLToPath(new URL('python/auth0_ai_tools.py', import.meta.url));

/** What a call of a tool came to. */
interface Outcome {
  /** The tool's answer, if it got as far. */
  said?: string;
  /** Why the graph stopped, if it did. */
  interrupt?: { code: string; required_scopes?: string[]; _request?: { id: string } };
  /** The exception that the SDK ended with, if it did. */
  error?: string;
  message?: string;
  /** The error of the server's in it, if it is one. */
  code?: string;
}

/** Python with the tools, once a test needed it. */
let python: ChildProcess | undefined;
let ended: Promise<unknown> | undefined;
const waiting = new Map<number, (outcome: Outcome) => void>();

function start(): ChildProcess {
  const child = spawn(process.env['ATTORN_PYTHON'] ?? 'python3', [script], {
    env: { ...process.env, REQUESTS_CA_BUNDLE: env(attorn, 'ATTORN_CA_FILE') },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  createInterface(child.stdout).on('line', (line) => {
    const { id, ...outcome } = JSON.parse(line) as Outcome & { id: number };
    waiting.get(id)?.(outcome);
    waiting.delete(id);
  });
  ended = once(child, 'close');
  return child;
}

after(async () => {
  python?.stdin!.end();
  assert.deepEqual(await ended, python && [0, null]);
});

let count = 0;
/** Has Python carry this out. */
async function carryOut(ask: object): Promise<Outcome> {
  const id = (count += 1);
  python ??= start();
  const answer = new Promise<Outcome>((answer) => waiting.set(id, answer));
  python.stdin!.write(`${JSON.stringify({ id, ...ask })}\n`);
  const over = ended!.then(() => ({ error: 'over', message: 'Python has ended' }));
  return Promise.race([answer, over]);
}

const auth0 = (name = 'ATTORN_CLIENT') => ({
  domain: env(attorn, 'ATTORN_DOMAIN'),
  client_id: env(attorn, `${name}_ID`),
  client_secret: env(attorn, `${name}_SECRET`),
});

describe('a tool with the Token Vault', () => {
  const vault = (options: object, more: object = {}) =>
    carryOut({ graph: `vault ${count}`, tool: 'with_token_vault', auth0: auth0(), options, ...more });
  const slack = () => ({ scopes: ['channels:read'], connection: env(attorn, 'ATTORN_CONNECTION_SLACK') });

  test("gets the person's Slack token for the refresh token of the graph's configuration", async () => {
    const configurable = { _credentials: { refresh_token: env(attorn, 'ATTORN_REFRESH_TOKEN') } };
    const { said, message } = await vault(slack(), { configurable });
    // A token of Slack's and not one of ours.
    assert.match(said ?? '', /^xox/, message);
  });

  test('gets it for an access token at the API that the token is for', async () => {
    const options = { ...slack(), access_token: env(attorn, 'ATTORN_ACCESS_TOKEN') };
    const { said, message } = await vault(options, { auth0: auth0('ATTORN_API_CLIENT') });
    assert.match(said ?? '', /^xox/, message);
  });

  test('stops the graph where the person linked nothing, or not these scopes', async () => {
    const refresh_token = env(attorn, 'ATTORN_REFRESH_TOKEN');
    const nothing = { scopes: [], connection: env(attorn, 'ATTORN_CONNECTION_GOOGLE'), refresh_token };
    assert.equal((await vault(nothing)).interrupt?.code, 'TOKEN_VAULT_ERROR');
    const narrow = await vault({ ...slack(), scopes: ['admin'], refresh_token });
    assert.equal(narrow.interrupt?.code, 'TOKEN_VAULT_ERROR');
    assert.ok(narrow.interrupt.required_scopes?.includes('admin'));
    assert.equal(narrow.said, undefined);
  });
});

// At once: in block mode the SDK sleeps for five seconds between two looks.
describe('a tool with async authorization', { concurrency: true }, () => {
  const ask = (graph: string, options: object) =>
    carryOut({
      graph,
      tool: 'with_async_authorization',
      auth0: auth0(),
      options: {
        user_id: env(attorn, 'ATTORN_USER_ID'),
        binding_message: graph,
        scopes: ['openid'],
        audience: env(attorn, 'ATTORN_AUDIENCE'),
        ...options,
      },
    });

  test('waits in block mode until the person approves', async () => {
    const outcome = ask('Block', { on_authorization_request: 'block' });
    await decide(attorn, 'Block', 'allow');
    const { said, message } = await outcome;
    assert.ok(said, message);
    const claims = JSON.parse(Buffer.from(said.split('.')[1]!, 'base64url').toString());
    assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.equal(claims.aud, env(attorn, 'ATTORN_AUDIENCE'));
  });

  test('says in block mode that nobody decided in time', async () => {
    const { error, said } = await ask('Nobody', { on_authorization_request: 'block', requested_expiry: 1 });
    assert.equal(said, undefined);
    assert.equal(error, 'AuthorizationRequestExpiredInterrupt');
  });

  test('stops the graph in interrupt mode, which goes on once the person approved', async () => {
    const authorization_details = [{ type: env(attorn, 'ATTORN_DETAILS_TYPE'), action: 'ring the bell' }];
    const stopped = await ask('Interrupt', { authorization_details });
    assert.equal(stopped.interrupt?.code, 'ASYNC_AUTHORIZATION_PENDING', stopped.message);
    assert.ok(stopped.interrupt._request?.id);
    await decide(attorn, 'Interrupt', 'allow');
    const { said, interrupt, message } = await carryOut({ graph: 'Interrupt' });
    assert.equal(interrupt, undefined);
    assert.equal(said?.split('.').length, 3, message);
  });

  test('hands on the denial', async () => {
    assert.equal((await ask('Denied', {})).interrupt?.code, 'ASYNC_AUTHORIZATION_PENDING');
    await decide(attorn, 'Denied', 'deny');
    assert.equal((await carryOut({ graph: 'Denied' })).error, 'AccessDeniedInterrupt');
  });

  test('about somebody who is not there is refused in the words of CIBA', async () => {
    const { error, code } = await ask('Nobody there', { user_id: 'nobody' });
    assert.equal(error, 'Auth0Error');
    assert.equal(code, 'unknown_user_id');
  });
});
