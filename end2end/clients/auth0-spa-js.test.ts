/**
 * Auth0's SDK for single-page apps, `@auth0/auth0-spa-js`, unmodified: the script that
 * pages load, in a page of another origin. It signs in, and links accounts by the My
 * Account API.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import type { Auth0Client, ConnectAccountRedirectResult } from '@auth0/auth0-spa-js';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';
import { run } from './support/page.ts';

const attorn = demo({ name: 'auth0-spa-js', tls: true });
const require = createRequire(import.meta.url);
const script = readFileSync(require.resolve('@auth0/auth0-spa-js/dist/auth0-spa-js.production.js'), 'utf8');
const sdk = run(script, 'https://app.example.com/', 'auth0') as typeof import('@auth0/auth0-spa-js');

const redirect_uri = 'https://app.example.com/callback';
const scope =
  'openid profile email offline_access ' +
  'create:me:connected_accounts read:me:connected_accounts delete:me:connected_accounts';

/** A public client of its own, as the demo allows. */
async function app(): Promise<Auth0Client> {
  const answer = await fetch(`${attorn.url}/oidc/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      client_name: 'A single-page app',
      redirect_uris: [redirect_uri],
      grant_types: ['authorization_code', 'refresh_token'],
      token_endpoint_auth_method: 'none',
      scope,
    }),
  });
  assert.equal(answer.status, 201);
  const { client_id: clientId } = (await answer.json()) as { client_id: string };
  return new sdk.Auth0Client({
    domain: env(attorn, 'ATTORN_DOMAIN'),
    clientId,
    useRefreshTokens: true,
    useMrrt: true,
    authorizationParams: { redirect_uri, scope },
  });
}

/** Signs the person in; whose browser it was. */
async function signedIn(client: Auth0Client): Promise<Browser> {
  const browser = new Browser(attorn);
  let address = '';
  await client.loginWithRedirect({ openUrl: (url) => void (address = url) });
  await client.handleRedirectCallback((await browser.allow(new URL(address))).href);
  return browser;
}

test('a person signs in, and the page reads who it is', async () => {
  const client = await app();
  await signedIn(client);
  const user = await client.getUser();
  assert.equal(user?.sub, env(attorn, 'ATTORN_USER_ID'));
  assert.equal(user?.email, attorn.user.email);
  const first = await client.getTokenSilently();
  const second = await client.getTokenSilently({ cacheMode: 'off' });
  assert.notEqual(first, second, 'the refresh token gave a new one');
});

describe('an account', () => {
  test('is linked from the page, with PKCE, and named to it', async () => {
    const client = await app();
    const browser = await signedIn(client);
    let address = '';
    await client.connectAccountWithRedirect({
      connection: env(attorn, 'ATTORN_CONNECTION_SLACK'),
      scopes: ['channels:read'],
      appState: { back: 'here' },
      openUrl: async (url) => void (address = url),
    });
    const back = await browser.link(address);
    const linked = (await client.handleRedirectCallback(back.href)) as ConnectAccountRedirectResult;
    assert.equal(linked.connection, env(attorn, 'ATTORN_CONNECTION_SLACK'));
    assert.equal(linked.access_type, 'offline');
    assert.ok(linked.scopes?.includes('channels:read'));
    assert.equal(linked.appState?.back, 'here');
    assert.ok(!Number.isNaN(Date.parse(linked.created_at)));
  });

  test('at a connection that is not there is a problem that the page can read', async () => {
    const client = await app();
    await signedIn(client);
    const openUrl = async () => assert.fail('nothing to open');
    await assert.rejects(client.connectAccountWithRedirect({ connection: 'nowhere', openUrl }), {
      name: 'MyAccountApiError',
      status: 404,
    });
  });
});
