/** npm `oauth4webapi`, unmodified: every answer goes through its strict checks, one step at a time. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { beforeEach, describe, test } from 'node:test';
import * as oauth from 'oauth4webapi';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

const attorn = demo({ name: 'oauth4webapi', tls: true, link: ['slack'] });
const redirect = 'https://app.example.com/callback';
let as: oauth.AuthorizationServer;

beforeEach(async () => {
  const issuer = new URL(`${attorn.url}/`);
  as ??= await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer));
});

/** A client that registers itself, as the demo allows. */
async function registered(metadata: Partial<oauth.Client> = {}) {
  const answer = await oauth.dynamicClientRegistrationRequest(as, {
    client_name: 'oauth4webapi',
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'client_secret_post',
    ...metadata,
  });
  const known = await oauth.processDynamicClientRegistrationResponse(answer);
  const secret = known.client_secret;
  const client: oauth.Client = known;
  return { client, auth: typeof secret === 'string' ? oauth.ClientSecretPost(secret) : oauth.None() };
}

type Registered = Awaited<ReturnType<typeof registered>>;

/** Does it again with the nonce of the first answer, if it asks for one (RFC 9449 §8). */
async function withNonce<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    return ask();
  }
}

/** Walks the code flow, pushed or by query, to the checked answer. */
async function signIn({ client, auth }: Registered, scope: string, options: { DPoP?: oauth.DPoPHandle } = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()];
  const parameters = {
    client_id: client.client_id,
    redirect_uri: redirect,
    response_type: 'code',
    scope,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
  };
  const pushed = await withNonce(async () =>
    oauth.processPushedAuthorizationResponse(
      as,
      client,
      await oauth.pushedAuthorizationRequest(as, client, auth, parameters, options),
    ),
  );
  const address = new URL(as.authorization_endpoint!);
  address.searchParams.set('client_id', client.client_id);
  address.searchParams.set('request_uri', pushed.request_uri);
  const back = oauth.validateAuthResponse(as, client, await new Browser(attorn).allow(address), state);
  const checks = { expectedNonce: nonce, requireIdToken: true };
  return withNonce(async () => {
    const answer = await oauth.authorizationCodeGrantRequest(as, client, auth, back, redirect, verifier, options);
    const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, checks);
    await oauth.validateApplicationLevelSignature(as, answer);
    return tokens;
  });
}

async function refused(call: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(call, (error: oauth.ResponseBodyError) => {
    assert.equal(error.error, code, String(error.cause ?? error));
    return true;
  });
}

test('discovery, pushed request, code and PKCE lead to an ID token whose signature is good', async () => {
  const tokens = await signIn(await registered(), 'openid email offline_access');
  assert.equal(oauth.getValidatedIdTokenClaims(tokens)?.sub, env(attorn, 'ATTORN_USER_ID'));
  assert.ok(tokens.refresh_token);
});

test('a refresh token is replaced, and its use after that ends its family', async () => {
  const { client, auth } = await registered();
  const refresh = async (token: string) =>
    oauth.processRefreshTokenResponse(as, client, await oauth.refreshTokenGrantRequest(as, client, auth, token));
  const first = await signIn({ client, auth }, 'openid offline_access');
  const second = await refresh(first.refresh_token!);
  assert.notEqual(second.refresh_token, first.refresh_token);
  const third = await refresh(second.refresh_token!);
  await refused(refresh(first.refresh_token!), 'invalid_grant');
  await refused(refresh(third.refresh_token!), 'invalid_grant');
});

test('an access token is a JWT by RFC 9068 for one audience', async () => {
  const tokens = await signIn(await registered(), 'openid email');
  const request = new Request(redirect, { headers: { authorization: `Bearer ${tokens.access_token}` } });
  const claims = await oauth.validateJwtAccessToken(as, request, as.issuer);
  assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
  assert.equal(claims.scope, 'openid email');
  await assert.rejects(oauth.validateJwtAccessToken(as, request.clone(), `${as.issuer}me/`));
});

test('userinfo, introspection and revocation pass its checks', async () => {
  const { client, auth } = await registered();
  const tokens = await signIn({ client, auth }, 'openid email offline_access');
  const subject = oauth.getValidatedIdTokenClaims(tokens)!.sub;
  const person = await oauth.processUserInfoResponse(
    as,
    client,
    subject,
    await oauth.userInfoRequest(as, client, tokens.access_token),
  );
  assert.equal(person.email, attorn.user.email);
  const active = async (token: string) => {
    const answer = await oauth.introspectionRequest(as, client, auth, token);
    return (await oauth.processIntrospectionResponse(as, client, answer)).active;
  };
  assert.equal(await active(tokens.access_token), true);
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, auth, tokens.refresh_token!));
  assert.equal(await active(tokens.access_token), false);
  assert.equal(await active(tokens.refresh_token!), false);
});

test('a public client has its code and its refresh token bound to a key', async () => {
  const public_ = await registered({ token_endpoint_auth_method: 'none' });
  const { client, auth } = public_;
  const DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'));
  const tokens = await signIn(public_, 'openid offline_access', { DPoP });
  assert.equal(tokens.token_type, 'dpop');
  const person = await withNonce(() => oauth.userInfoRequest(as, client, tokens.access_token, { DPoP }));
  assert.equal(person.status, 200);
  const refresh = (handle: oauth.DPoPHandle) =>
    withNonce(async () =>
      oauth.processRefreshTokenResponse(
        as,
        client,
        await oauth.refreshTokenGrantRequest(as, client, auth, tokens.refresh_token!, { DPoP: handle }),
      ),
    );
  await refused(refresh(oauth.DPoP(client, await oauth.generateKeyPair('ES256'))), 'invalid_grant');
  assert.equal((await refresh(DPoP)).token_type, 'dpop');
});

test('a client with a key of its own proves itself and gets a token for itself', async () => {
  const keys = await oauth.generateKeyPair('ES256', { extractable: true });
  const { client } = await registered({
    grant_types: ['client_credentials'],
    response_types: [],
    redirect_uris: [],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [await crypto.subtle.exportKey('jwk', keys.publicKey)] } as unknown as oauth.JsonObject,
  });
  const auth = oauth.PrivateKeyJwt(keys.privateKey);
  const answer = await oauth.clientCredentialsGrantRequest(as, client, auth, {});
  assert.ok((await oauth.processClientCredentialsResponse(as, client, answer)).access_token);
});

describe('a person is asked', () => {
  test('by a device that shows a code', async () => {
    const device = await registered({
      grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
      response_types: [],
      redirect_uris: [],
    });
    const { client, auth } = device;
    const asked = await oauth.processDeviceAuthorizationResponse(
      as,
      client,
      await oauth.deviceAuthorizationRequest(as, client, auth, { scope: 'openid' }),
    );
    const poll = async () =>
      oauth.processDeviceCodeResponse(
        as,
        client,
        await oauth.deviceCodeGrantRequest(as, client, auth, asked.device_code),
      );
    await refused(poll(), 'authorization_pending');
    await new Browser(attorn).connectDevice(asked.verification_uri_complete!);
    assert.equal(oauth.getValidatedIdTokenClaims(await poll())?.sub, env(attorn, 'ATTORN_USER_ID'));
  });

  test('out of band for an approval (CIBA, poll)', async () => {
    const client = { client_id: env(attorn, 'ATTORN_CLIENT_ID') };
    const auth = oauth.ClientSecretPost(env(attorn, 'ATTORN_CLIENT_SECRET'));
    const parameters = { scope: 'openid', login_hint: attorn.user.email, binding_message: 'B-7' };
    const asked = await oauth.processBackchannelAuthenticationResponse(
      as,
      client,
      await oauth.backchannelAuthenticationRequest(as, client, auth, parameters),
    );
    const poll = async () =>
      oauth.processBackchannelAuthenticationGrantResponse(
        as,
        client,
        await oauth.backchannelAuthenticationGrantRequest(as, client, auth, asked.auth_req_id),
      );
    await refused(poll(), 'authorization_pending');
    await new Browser(attorn).decide('approve');
    assert.equal(oauth.getValidatedIdTokenClaims(await poll())?.sub, env(attorn, 'ATTORN_USER_ID'));
    await refused(poll(), 'invalid_grant');
  });

  test('out of band, and a ping says when there is an answer (CIBA, ping)', async () => {
    const pinged = createServer();
    pinged.listen(0, '127.0.0.1');
    await once(pinged, 'listening');
    try {
      const { port } = pinged.address() as AddressInfo;
      const pings = await registered({
        grant_types: ['authorization_code', 'urn:openid:params:grant-type:ciba'],
        backchannel_token_delivery_mode: 'ping',
        backchannel_client_notification_endpoint: `http://127.0.0.1:${port}/ping`,
      });
      // Who has signed in there may be asked.
      await signIn(pings, 'openid');
      const { client, auth } = pings;
      const token = oauth.generateRandomState();
      const parameters = {
        scope: 'openid',
        login_hint: attorn.user.email,
        binding_message: 'C-3',
        client_notification_token: token,
      };
      const asked = await oauth.processBackchannelAuthenticationResponse(
        as,
        client,
        await oauth.backchannelAuthenticationRequest(as, client, auth, parameters),
      );
      const ping = once(pinged, 'request') as Promise<[IncomingMessage, ServerResponse]>;
      await new Browser(attorn).decide('approve');
      const [request, answer] = await ping;
      assert.equal(request.headers.authorization, `Bearer ${token}`);
      assert.deepEqual(JSON.parse(await text(request)), { auth_req_id: asked.auth_req_id });
      answer.writeHead(204).end();
      const tokens = await oauth.processBackchannelAuthenticationGrantResponse(
        as,
        client,
        await oauth.backchannelAuthenticationGrantRequest(as, client, auth, asked.auth_req_id),
      );
      assert.equal(oauth.getValidatedIdTokenClaims(tokens)?.sub, env(attorn, 'ATTORN_USER_ID'));
    } finally {
      pinged.close();
      pinged.closeAllConnections();
    }
  });
});

test('a resource of ours says where its tokens come from (RFC 9728)', async () => {
  const resource = new URL(`${as.issuer}me/`);
  const insecure = { [oauth.allowInsecureRequests]: true };
  const answer = await oauth.resourceDiscoveryRequest(resource, insecure);
  const metadata = await oauth.processResourceDiscoveryResponse(resource, answer);
  assert.deepEqual(metadata.authorization_servers, [as.issuer]);
});
