/** Auth0's SDKs for servers, `@auth0/auth0-auth-js` and `@auth0/auth0-server-js`, unmodified. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AuthClient } from '@auth0/auth0-auth-js';
import { ServerClient } from '@auth0/auth0-server-js';
import type { StateStore, TransactionStore } from '@auth0/auth0-server-js';
import { Browser } from './support/browser.ts';
import { decide, demo, env } from './support/demo.ts';

const attorn = demo({ name: 'auth0-server', tls: true, link: ['slack'] });

const settings = (name = 'ATTORN_CLIENT') => ({
  domain: env(attorn, 'ATTORN_DOMAIN'),
  clientId: env(attorn, `${name}_ID`),
  clientSecret: env(attorn, `${name}_SECRET`),
  authorizationParams: {
    redirect_uri: env(attorn, 'ATTORN_REDIRECT_URI'),
    scope: 'openid profile email offline_access',
  },
});

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString());
/** The call must end with this error of the server's. */
async function refused(call: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(call, (error: { cause?: { error?: string } }) => {
    assert.equal(error.cause?.error, code, String(error.cause ?? error));
    return true;
  });
}

const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const REFRESH_TOKEN = 'urn:ietf:params:oauth:token-type:refresh_token';

describe('auth0-auth-js', () => {
  const sdk = (name?: string) => new AuthClient(settings(name));

  async function signIn(client: AuthClient, pushedAuthorizationRequests = false) {
    const { authorizationUrl, codeVerifier } = await client.buildAuthorizationUrl({ pushedAuthorizationRequests });
    return client.getTokenByCode(await new Browser(attorn).allow(authorizationUrl), { codeVerifier });
  }

  for (const pushed of [false, true]) {
    test(`signs a person in ${pushed ? 'by a pushed request' : 'by an address'}`, async () => {
      const client = sdk();
      const tokens = await signIn(client, pushed);
      assert.equal(tokens.claims?.sub, env(attorn, 'ATTORN_USER_ID'));
      const expectedSubject = env(attorn, 'ATTORN_USER_ID');
      const who = await client.getUserInfo({ accessToken: tokens.accessToken, expectedSubject });
      assert.equal(who.email, attorn.user.email);
    });
  }

  test('refreshes for another audience, and revokes', async () => {
    const client = sdk();
    const { refreshToken } = await signIn(client);
    const audience = `${attorn.url}/proxy`;
    const { accessToken } = await client.getTokenByRefreshToken({ refreshToken: refreshToken!, audience });
    assert.equal(claimsOf(accessToken).aud, audience);
    await client.revokeToken({ token: refreshToken!, tokenTypeHint: 'refresh_token' });
    await refused(client.getTokenByRefreshToken({ refreshToken: refreshToken! }), 'invalid_grant');
  });

  test('gets a token for itself', async () => {
    const audience = env(attorn, 'ATTORN_AUDIENCE');
    const { accessToken } = await sdk('ATTORN_API_CLIENT').getTokenByClientCredentials({ audience });
    assert.equal(claimsOf(accessToken).aud, audience);
  });

  test("gets the person's Slack token, either way it asks", async () => {
    const connection = env(attorn, 'ATTORN_CONNECTION_SLACK');
    const refreshToken = env(attorn, 'ATTORN_REFRESH_TOKEN');
    const accessToken = env(attorn, 'ATTORN_ACCESS_TOKEN');
    const ways = [
      await sdk().getTokenForConnection({ connection, refreshToken }),
      await sdk('ATTORN_API_CLIENT').getTokenForConnection({ connection, accessToken }),
      await sdk().exchangeToken({ connection, subjectToken: refreshToken, subjectTokenType: REFRESH_TOKEN }),
    ];
    for (const tokens of ways) {
      // A token of Slack's and not one of ours.
      assert.match(tokens.accessToken, /^xox/);
      assert.ok(tokens.scope?.split(' ').includes('channels:read'));
      assert.ok(tokens.expiresAt > Date.now() / 1000);
    }
  });

  test('says why there is no token', async () => {
    const connection = env(attorn, 'ATTORN_CONNECTION_GOOGLE');
    const refreshToken = env(attorn, 'ATTORN_REFRESH_TOKEN');
    const nothing = sdk().getTokenForConnection({ connection, refreshToken });
    await refused(nothing, 'federated_connection_refresh_token_not_found');
    await refused(sdk().getTokenForConnection({ connection, refreshToken: 'nonsense' }), 'invalid_grant');
  });

  test('exchanges an access token for one of another audience (RFC 8693)', async () => {
    const audience = `${attorn.url}/proxy`;
    const subjectToken = env(attorn, 'ATTORN_ACCESS_TOKEN');
    const tokens = await sdk().exchangeToken({ subjectToken, subjectTokenType: ACCESS_TOKEN, audience });
    assert.equal(tokens.issuedTokenType, ACCESS_TOKEN);
    assert.equal(claimsOf(tokens.accessToken).aud, audience);
    assert.equal(claimsOf(tokens.accessToken).act.sub, env(attorn, 'ATTORN_CLIENT_ID'));
  });

  describe('an approval', () => {
    const ask = () => ({ bindingMessage: 'Ring the bell', loginHint: { sub: env(attorn, 'ATTORN_USER_ID') } });

    test('is asked for, waited for and granted', async () => {
      const details = [{ type: env(attorn, 'ATTORN_DETAILS_TYPE'), action: 'ring the bell' }];
      const client = sdk();
      const { authReqId } = await client.initiateBackchannelAuthentication({ ...ask(), authorizationDetails: details });
      await refused(client.backchannelAuthenticationGrant({ authReqId }), 'authorization_pending');
      await new Browser(attorn).decide('approve');
      const tokens = await client.backchannelAuthenticationGrant({ authReqId });
      assert.equal(tokens.claims?.sub, env(attorn, 'ATTORN_USER_ID'));
      assert.deepEqual(tokens.authorizationDetails, details);
      assert.ok(tokens.refreshToken);
    });

    test('that is denied is access_denied', async () => {
      const client = sdk();
      const { authReqId } = await client.initiateBackchannelAuthentication(ask());
      await new Browser(attorn).decide('deny');
      await refused(client.backchannelAuthenticationGrant({ authReqId }), 'access_denied');
    });
  });
});

describe('auth0-server-js', () => {
  /** Keeps what the SDK gives it to keep, for one browser. */
  class Kept<Data> {
    private readonly kept = new Map<string, Data>();
    async set(name: string, data: Data): Promise<void> {
      this.kept.set(name, data);
    }
    async get(name: string): Promise<Data | undefined> {
      return this.kept.get(name);
    }
    async delete(name: string): Promise<void> {
      this.kept.delete(name);
    }
    async deleteByLogoutToken(): Promise<void> {
      this.kept.clear();
    }
  }

  const sdk = () =>
    new ServerClient({
      ...settings(),
      transactionStore: new Kept() as unknown as TransactionStore,
      stateStore: new Kept() as unknown as StateStore,
    });

  test("keeps a person signed in, with tokens for an API and the person's accounts", async () => {
    const client = sdk();
    const browser = new Browser(attorn);
    const address = await client.startInteractiveLogin({ pushedAuthorizationRequests: true, appState: { back: 'here' } });
    const { appState } = await client.completeInteractiveLogin<{ back: string }>(await browser.allow(address));
    assert.equal(appState?.back, 'here');
    assert.equal((await client.getUser())?.email, attorn.user.email);
    const audience = `${attorn.url}/proxy`;
    assert.equal(claimsOf((await client.getAccessToken({ audience })).accessToken).aud, audience);
    const connection = env(attorn, 'ATTORN_CONNECTION_SLACK');
    assert.match((await client.getAccessTokenForConnection({ connection })).accessToken, /^xox/);
    const away = await client.logout({ returnTo: env(attorn, 'ATTORN_REDIRECT_URI') });
    assert.equal(away.origin, attorn.url);
    assert.equal(await client.getUser(), undefined);
  });

  test('signs a person in who approves elsewhere', async () => {
    const client = sdk();
    const signedIn = client.loginBackchannel({
      bindingMessage: 'Sign in',
      loginHint: { sub: env(attorn, 'ATTORN_USER_ID') },
    });
    await decide(attorn, 'Sign in', 'allow');
    await signedIn;
    assert.equal((await client.getUser())?.sub, env(attorn, 'ATTORN_USER_ID'));
  });
});
