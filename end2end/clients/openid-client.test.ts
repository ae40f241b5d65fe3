/** npm `openid-client`, unmodified and in its strict default settings, against the demo. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as client from 'openid-client';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

const attorn = demo({ name: 'openid-client', tls: true, link: ['slack'] });
const issuer = (): URL => new URL(`${attorn.url}/`);

/** The demo's agent: confidential, its refresh tokens stay. */
async function agent(authentication = client.ClientSecretPost): Promise<client.Configuration> {
  return client.discovery(
    issuer(),
    env(attorn, 'ATTORN_CLIENT_ID'),
    undefined,
    authentication(env(attorn, 'ATTORN_CLIENT_SECRET')),
  );
}

const redirect = 'https://app.example.com/callback';

/** A client that registers itself, as the demo allows; its refresh tokens rotate. */
async function registered(metadata: Partial<client.ClientMetadata> = {}): Promise<client.Configuration> {
  return client.dynamicClientRegistration(issuer(), {
    client_name: 'openid-client',
    redirect_uris: [redirect],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    ...metadata,
  });
}

/** What an authorization request needs, and the checks of its answer. */
async function request(scope: string, more: Record<string, string> = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()];
  return {
    parameters: {
      redirect_uri: redirect,
      scope,
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
      nonce: expectedNonce,
      ...more,
    },
    checks: { pkceCodeVerifier, expectedState, expectedNonce },
  };
}

/** Walks the code flow to its tokens. */
async function signIn(
  config: client.Configuration,
  scope: string,
  more: Record<string, string> = {},
  options?: client.DPoPOptions,
) {
  const { parameters, checks } = await request(scope, more);
  const back = await new Browser(attorn).allow(client.buildAuthorizationUrl(config, parameters));
  return client.authorizationCodeGrant(config, back, checks, undefined, options);
}

/** The error that a call ends with must be one the server answered. */
async function refused(call: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(call, (error: client.ResponseBodyError) => {
    assert.equal(error.error ?? error.cause, code, String(error.cause ?? error));
    return true;
  });
}

test('discovery names the issuer it was asked at, with its final slash', async () => {
  const server = (await agent()).serverMetadata();
  assert.equal(server.issuer, issuer().href);
  assert.equal(server.supportsPKCE('S256'), true);
  const rfc8414 = await client.discovery(issuer(), 'anyone', undefined, undefined, { algorithm: 'oauth2' });
  assert.equal(rfc8414.serverMetadata().token_endpoint, server.token_endpoint);
});

describe('a person signs in', () => {
  test('with code, PKCE, state, nonce and iss, and the ID token is verified', async () => {
    const config = await registered();
    // The signature too, against the published keys.
    client.enableNonRepudiationChecks(config);
    const tokens = await signIn(config, 'openid profile email');
    const claims = tokens.claims();
    assert.equal(claims?.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.equal(claims?.iss, issuer().href);
    assert.equal(claims?.['email'], attorn.user.email);
    assert.equal(tokens.refresh_token, undefined, 'without offline_access');
  });

  test('and what the client said comes back to it, character by character', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid');
    const [state, nonce] = ['a+b c&scope=d%25e/?#"<é>', 'f+g==&h%'];
    const address = client.buildAuthorizationUrl(config, { ...parameters, state, nonce });
    const back = await new Browser(attorn).allow(address);
    assert.equal(back.searchParams.get('state'), state);
    const expected = { ...checks, expectedState: state, expectedNonce: nonce };
    await client.authorizationCodeGrant(config, back, expected);
  });

  test('with ID tokens signed as the client registered', async () => {
    for (const alg of ['ES256', 'EdDSA'] as const) {
      const config = await registered({ id_token_signed_response_alg: alg });
      client.enableNonRepudiationChecks(config);
      const tokens = await signIn(config, 'openid');
      assert.equal(JSON.parse(Buffer.from(tokens.id_token!.split('.')[0]!, 'base64url').toString()).alg, alg);
    }
  });

  test('and max_age shows in auth_time', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid', { max_age: '600' });
    const back = await new Browser(attorn).allow(client.buildAuthorizationUrl(config, parameters));
    const tokens = await client.authorizationCodeGrant(config, back, { ...checks, maxAge: 600 });
    assert.equal(typeof tokens.claims()?.auth_time, 'number');
  });

  test('who denies is an access_denied for the client, with state and iss', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid');
    const back = await new Browser(attorn).deny(client.buildAuthorizationUrl(config, parameters));
    assert.equal(back.searchParams.get('iss'), issuer().href);
    await refused(client.authorizationCodeGrant(config, back, checks), 'access_denied');
  });

  test('a code is good once, and its second use ends what the first gave', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid offline_access');
    const back = await new Browser(attorn).allow(client.buildAuthorizationUrl(config, parameters));
    const tokens = await client.authorizationCodeGrant(config, back, checks);
    await refused(client.authorizationCodeGrant(config, back, checks), 'invalid_grant');
    await refused(client.refreshTokenGrant(config, tokens.refresh_token!), 'invalid_grant');
  });

  test('a wrong PKCE verifier is refused', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid');
    const back = await new Browser(attorn).allow(client.buildAuthorizationUrl(config, parameters));
    const wrong = { ...checks, pkceCodeVerifier: client.randomPKCECodeVerifier() };
    await refused(client.authorizationCodeGrant(config, back, wrong), 'invalid_grant');
  });

  test('a public client needs no secret', async () => {
    const config = await registered({ token_endpoint_auth_method: 'none' });
    assert.equal(config.clientMetadata().client_secret, undefined);
    const tokens = await signIn(config, 'openid offline_access');
    const next = await client.refreshTokenGrant(config, tokens.refresh_token!);
    assert.notEqual(next.refresh_token, tokens.refresh_token);
  });
});

describe('refresh', () => {
  test('gives a new refresh token, and the old one is of no use once the new one was used', async () => {
    const config = await registered();
    const first = await signIn(config, 'openid offline_access');
    const second = await client.refreshTokenGrant(config, first.refresh_token!);
    assert.notEqual(second.refresh_token, first.refresh_token);
    assert.equal(second.claims()?.sub, first.claims()?.sub);
    const third = await client.refreshTokenGrant(config, second.refresh_token!);
    await refused(client.refreshTokenGrant(config, first.refresh_token!), 'invalid_grant');
    // Somebody had both: the whole family is dead.
    await refused(client.refreshTokenGrant(config, third.refresh_token!), 'invalid_grant');
  });

  test('serves several resources from one token, and never more scope than granted', async () => {
    const config = await agent();
    const token = env(attorn, 'ATTORN_REFRESH_TOKEN');
    for (const resource of [`${attorn.url}/me/`, `${attorn.url}/proxy`, env(attorn, 'ATTORN_AUDIENCE')]) {
      const tokens = await client.refreshTokenGrant(config, token, { resource });
      const payload = JSON.parse(Buffer.from(tokens.access_token.split('.')[1]!, 'base64url').toString());
      assert.equal(payload.aud, resource);
    }
    const fewer = await client.refreshTokenGrant(config, token, { scope: 'openid' });
    assert.equal(fewer.scope, 'openid');
    await refused(client.refreshTokenGrant(config, token, { scope: 'openid admin' }), 'invalid_scope');
    const elsewhere = { resource: 'https://elsewhere.example/' };
    await refused(client.refreshTokenGrant(config, token, elsewhere), 'invalid_target');
  });
});

describe('a client for itself', () => {
  for (const authentication of [client.ClientSecretPost, client.ClientSecretBasic]) {
    test(`gets a token with ${authentication.name}`, async () => {
      const tokens = await client.clientCredentialsGrant(await agent(authentication));
      assert.equal(tokens.token_type, 'bearer');
      assert.equal(tokens.refresh_token, undefined);
    });
  }

  test('is refused with a wrong secret, either way', async () => {
    for (const authentication of [client.ClientSecretPost, client.ClientSecretBasic]) {
      const config = await client.discovery(
        issuer(),
        env(attorn, 'ATTORN_CLIENT_ID'),
        undefined,
        authentication('wrong'),
      );
      await assert.rejects(client.clientCredentialsGrant(config), (error: Error) => {
        const said = error as client.ResponseBodyError | client.WWWAuthenticateChallengeError;
        assert.equal(said.status, 401);
        // RFC 6749 §5.2: challenged only where it used the header.
        assert.equal(said.code, authentication === client.ClientSecretBasic
          ? 'OAUTH_WWW_AUTHENTICATE_CHALLENGE'
          : 'OAUTH_RESPONSE_BODY_ERROR');
        return true;
      });
    }
  });

  test('proves itself with a key of its own', async () => {
    const keys = await client.randomDPoPKeyPair('ES256', { extractable: true });
    const jwk = { ...(await crypto.subtle.exportKey('jwk', keys.publicKey)), kid: 'one', use: 'sig', alg: 'ES256' };
    const config = await client.dynamicClientRegistration(
      issuer(),
      {
        client_name: 'by key',
        redirect_uris: [redirect],
        grant_types: ['authorization_code', 'refresh_token'],
        token_endpoint_auth_method: 'private_key_jwt',
        token_endpoint_auth_signing_alg: 'ES256',
        jwks: { keys: [jwk] } as never,
      },
      client.PrivateKeyJwt({ key: keys.privateKey, kid: 'one' }),
    );
    const tokens = await signIn(config, 'openid offline_access');
    await client.refreshTokenGrant(config, tokens.refresh_token!);
    await client.tokenRevocation(config, tokens.refresh_token!);
    const other = await client.randomDPoPKeyPair('ES256');
    const forged = new client.Configuration(
      config.serverMetadata(),
      config.clientMetadata().client_id,
      config.clientMetadata(),
      client.PrivateKeyJwt({ key: other.privateKey, kid: 'one' }),
    );
    await refused(client.refreshTokenGrant(forged, tokens.refresh_token!), 'invalid_client');
  });
});

describe('exchange of a token for a linked account', () => {
  const subject = () => ({
    subject_token: env(attorn, 'ATTORN_REFRESH_TOKEN'),
    subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token',
  });

  test('works under the URN of RFC 8693', async () => {
    const tokens = await client.genericGrantRequest(
      await agent(),
      'urn:ietf:params:oauth:grant-type:token-exchange',
      { ...subject(), connection: env(attorn, 'ATTORN_CONNECTION_SLACK') },
    );
    assert.equal(tokens['issued_token_type'], 'urn:ietf:params:oauth:token-type:access_token');
    assert.ok(tokens.expiresIn()! > 0);
    assert.ok(tokens.scope);
  });

  test("works under Auth0's URN", async () => {
    const type = 'http://auth0.com/oauth/token-type/federated-connection-access-token';
    const tokens = await client.genericGrantRequest(
      await agent(),
      'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token',
      { ...subject(), connection: env(attorn, 'ATTORN_CONNECTION_SLACK'), requested_token_type: type },
    );
    assert.equal(tokens['issued_token_type'], type);
  });

  test('says what is wrong in the words of each', async () => {
    const config = await agent();
    const rfc = 'urn:ietf:params:oauth:grant-type:token-exchange';
    const auth0 = 'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token';
    const slack = { connection: env(attorn, 'ATTORN_CONNECTION_SLACK') };
    const bad = { ...subject(), subject_token: 'nonsense', ...slack };
    await refused(client.genericGrantRequest(config, rfc, bad), 'invalid_request');
    await refused(client.genericGrantRequest(config, auth0, bad), 'invalid_grant');
    const nowhere = { ...subject(), connection: 'nowhere' };
    await refused(client.genericGrantRequest(config, rfc, nowhere), 'invalid_target');
    const google = { ...subject(), connection: env(attorn, 'ATTORN_CONNECTION_GOOGLE') };
    await refused(
      client.genericGrantRequest(config, auth0, google),
      'federated_connection_refresh_token_not_found',
    );
  });
});

describe('an approval (CIBA, poll)', () => {
  const ask = (more: Record<string, string> = {}) => ({
    scope: 'openid',
    login_hint: attorn.user.email,
    binding_message: 'A-113',
    ...more,
  });

  test('is asked for, approved on the page, and redeemed once', async () => {
    const config = await agent();
    const asked = await client.initiateBackchannelAuthentication(config, ask());
    await new Browser(attorn).decide('approve');
    const tokens = await client.pollBackchannelAuthenticationGrant(config, asked);
    assert.equal(tokens.claims()?.sub, env(attorn, 'ATTORN_USER_ID'));
    await refused(client.pollBackchannelAuthenticationGrant(config, asked), 'invalid_grant');
  });

  test('is asked of the person of an ID token', async () => {
    const config = await agent();
    const first = await client.initiateBackchannelAuthentication(config, ask());
    await new Browser(attorn).decide('approve');
    const { id_token } = await client.pollBackchannelAuthenticationGrant(config, first);
    const { login_hint: _, ...rest } = ask();
    const asked = await client.initiateBackchannelAuthentication(config, { ...rest, id_token_hint: id_token! });
    await new Browser(attorn).decide('approve');
    const tokens = await client.pollBackchannelAuthenticationGrant(config, asked);
    assert.equal(tokens.claims()?.sub, env(attorn, 'ATTORN_USER_ID'));
    const both = ask({ id_token_hint: id_token! });
    await refused(client.initiateBackchannelAuthentication(config, both), 'invalid_request');
  });

  test('that is denied is access_denied', async () => {
    const config = await agent();
    const asked = await client.initiateBackchannelAuthentication(config, ask());
    await new Browser(attorn).decide('deny');
    await refused(client.pollBackchannelAuthenticationGrant(config, asked), 'access_denied');
  });

  test('carries its authorization_details to the tokens', async () => {
    const config = await agent();
    const details = [{ type: env(attorn, 'ATTORN_DETAILS_TYPE'), action: 'ring the bell' }];
    const asked = await client.initiateBackchannelAuthentication(
      config,
      ask({ authorization_details: JSON.stringify(details) }),
    );
    await new Browser(attorn).decide('approve');
    const tokens = await client.pollBackchannelAuthenticationGrant(config, asked);
    assert.deepEqual(tokens.authorization_details, details);
  });

  test('about nobody, or with an unreadable message, is refused in the words of CIBA', async () => {
    const config = await agent();
    const nobody = ask({ login_hint: 'nobody@example.com' });
    await refused(client.initiateBackchannelAuthentication(config, nobody), 'unknown_user_id');
    const long = ask({ binding_message: 'x'.repeat(65) });
    await refused(client.initiateBackchannelAuthentication(config, long), 'invalid_binding_message');
  });
});

test('a revoked refresh token is dead, and revoking it again is no error', async () => {
  const config = await registered();
  const tokens = await signIn(config, 'openid offline_access');
  await client.tokenRevocation(config, tokens.refresh_token!);
  await client.tokenRevocation(config, tokens.refresh_token!);
  await client.tokenRevocation(config, 'never-was-one');
  await refused(client.refreshTokenGrant(config, tokens.refresh_token!), 'invalid_grant');
});

describe('a pushed authorization request', () => {
  test('is all that the browser carries, and is good once', async () => {
    const config = await registered();
    const { parameters, checks } = await request('openid');
    const address = await client.buildAuthorizationUrlWithPAR(config, parameters);
    assert.deepEqual([...address.searchParams.keys()].sort(), ['client_id', 'request_uri']);
    const back = await new Browser(attorn).allow(address);
    const tokens = await client.authorizationCodeGrant(config, back, checks);
    assert.equal(tokens.claims()?.sub, env(attorn, 'ATTORN_USER_ID'));
    await assert.rejects(new Browser(attorn).allow(address), /\(400\)/, 'it was answered');
  });

  test('is judged when it is pushed', async () => {
    const config = await registered();
    const { parameters } = await request('openid', { redirect_uri: 'https://elsewhere.example/' });
    await assert.rejects(client.buildAuthorizationUrlWithPAR(config, parameters), { status: 400 });
  });
});

describe('tokens bound to a key (DPoP)', () => {
  test('are for who holds the key alone, through refresh, with nonces as the server asks', async () => {
    const config = await registered();
    let nonces = 0;
    config[client.customFetch] = async (address, options) => {
      const answer = await fetch(address, options as RequestInit);
      const wanted = await answer.clone().text();
      if (wanted.includes('"use_dpop_nonce"')) {
        assert.ok(answer.headers.get('dpop-nonce'), 'it comes with the nonce it asks for');
        nonces += 1;
      }
      return answer;
    };
    const keys = await client.randomDPoPKeyPair('ES256');
    const DPoP = client.getDPoPHandle(config, keys);
    const tokens = await signIn(config, 'openid offline_access', {}, { DPoP });
    assert.equal(tokens.token_type, 'dpop');
    const next = await client.refreshTokenGrant(config, tokens.refresh_token!, undefined, { DPoP });
    assert.equal(next.token_type, 'dpop');
    const person = await client.fetchUserInfo(config, next.access_token, next.claims()!.sub, { DPoP });
    assert.equal(person.sub, env(attorn, 'ATTORN_USER_ID'));
    const stolen = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    await assert.rejects(
      client.fetchUserInfo(config, next.access_token, next.claims()!.sub, { DPoP: stolen }),
      { status: 401 },
    );
    assert.ok(nonces > 0, 'a proof without a nonce was sent back for one');
    // Nor does it pass as a bearer token.
    await assert.rejects(client.fetchUserInfo(config, next.access_token, next.claims()!.sub), { status: 401 });
  });

  test('bind the code from the pushed request on', async () => {
    const config = await registered({ dpop_bound_access_tokens: true });
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const { parameters, checks } = await request('openid');
    const back = await new Browser(attorn).allow(
      await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP }),
    );
    const tokens = await client.authorizationCodeGrant(config, back, checks, undefined, { DPoP });
    assert.equal(tokens.token_type, 'dpop');
  });
});

test('userinfo tells what the scopes allow, of the person of the token', async () => {
  const config = await registered();
  const tokens = await signIn(config, 'openid email');
  const person = await client.fetchUserInfo(config, tokens.access_token, tokens.claims()!.sub);
  assert.equal(person.email, attorn.user.email);
  assert.equal(person.name, undefined, 'profile was not asked for');
  await assert.rejects(client.fetchUserInfo(config, 'nonsense', client.skipSubjectCheck), { status: 401 });
});

test('introspection tells a live token from a dead one', async () => {
  const config = await registered();
  const tokens = await signIn(config, 'openid offline_access');
  const live = await client.tokenIntrospection(config, tokens.access_token);
  assert.equal(live.active, true);
  assert.equal(live.sub, env(attorn, 'ATTORN_USER_ID'));
  assert.equal(live.client_id, config.clientMetadata().client_id);
  assert.equal((await client.tokenIntrospection(config, tokens.refresh_token!)).active, true);
  await client.tokenRevocation(config, tokens.refresh_token!);
  assert.deepEqual(await client.tokenIntrospection(config, tokens.refresh_token!), { active: false });
  assert.deepEqual(await client.tokenIntrospection(config, tokens.access_token), { active: false });
  assert.deepEqual(await client.tokenIntrospection(config, 'nonsense'), { active: false });
});

describe('the device grant', () => {
  const device = {
    grant_types: ['urn:ietf:params:oauth:grant-type:device_code', 'refresh_token'],
    response_types: [],
    redirect_uris: [],
  };

  test('gives a program without a browser its tokens once its person allowed it', async () => {
    const config = await registered({ ...device, token_endpoint_auth_method: 'none' });
    const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid offline_access' });
    await new Browser(attorn).connectDevice(asked.verification_uri_complete!);
    const tokens = await client.pollDeviceAuthorizationGrant(config, asked);
    assert.equal(tokens.claims()!.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.ok((await client.refreshTokenGrant(config, tokens.refresh_token!)).access_token);
    await assert.rejects(client.pollDeviceAuthorizationGrant(config, asked), { error: 'invalid_grant' });
  });

  test('binds its tokens to the key that polls', async () => {
    const config = await registered({ ...device, dpop_bound_access_tokens: true });
    const asked = await client.initiateDeviceAuthorization(config, { scope: 'openid' });
    await new Browser(attorn).connectDevice(asked.verification_uri_complete!);
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'));
    const tokens = await client.pollDeviceAuthorizationGrant(config, asked, undefined, { DPoP });
    assert.equal(tokens.token_type, 'dpop');
  });
});
