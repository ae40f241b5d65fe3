/**
 * The same stories at Attorn and at npm `oidc-provider`: grants that go well, are replayed and are
 * asked for too hastily, proofs of possession, approvals, devices, registrations. Each step's status
 * and error code are the same, or the difference is here with the rule that decides.
 */
import assert from 'node:assert/strict';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { test } from 'node:test';
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose';
import { redirect, said, type Server, twoServers } from './support/two-servers.ts';

const servers = twoServers('stories');

type Step = [what: string, answer: string];
type Fields = Record<string, string>;

/** A client's request, and the JSON of the answer where it is good. */
async function ask(server: Server, at: keyof Server, fields: Fields, headers: Fields = {}, as = server.client) {
  const body = new URLSearchParams({ ...fields, client_id: as.id, client_secret: as.secret });
  const given = await fetch(server[at] as string, { method: 'POST', body, headers });
  const json = given.ok ? ((await given.clone().json()) as Fields) : {};
  return { said: await said(given), json };
}

/** A code for this verifier, by way of the person's browser. */
async function coded(server: Server, verifier: string, scope: string): Promise<string> {
  const address = new URL(server.authorize);
  address.search = String(new URLSearchParams({
    response_type: 'code', client_id: server.client.id, redirect_uri: redirect, scope, prompt: 'consent',
    code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
  }));
  const code = (await server.allow(address)).searchParams.get('code');
  assert.ok(code, 'the person allowed it');
  return code;
}

const redeem = (code: string, verifier: string, change: Fields = {}) => ({
  grant_type: 'authorization_code', code, redirect_uri: redirect, code_verifier: verifier, ...change,
});

async function codes(server: Server): Promise<Step[]> {
  const verifier = randomBytes(32).toString('base64url');
  const first = await coded(server, verifier, 'openid offline_access');
  const wrong = await ask(server, 'token', redeem(first, randomBytes(32).toString('base64url')));
  const code = await coded(server, verifier, 'openid offline_access');
  const elsewhere = await ask(server, 'token', redeem(code, verifier, { redirect_uri: `${redirect}/2` }));
  const third = await coded(server, verifier, 'openid offline_access');
  const good = await ask(server, 'token', redeem(third, verifier));
  const { access_token = '', refresh_token = '' } = good.json;
  const told = await fetch(server.userinfo, { headers: { authorization: `Bearer ${access_token}` } });
  const refreshed = await ask(server, 'token', { grant_type: 'refresh_token', refresh_token });
  const wider = await ask(server, 'token', {
    grant_type: 'refresh_token', refresh_token: refreshed.json['refresh_token'] ?? refresh_token, scope: 'openid email',
  });
  const again = await ask(server, 'token', redeem(third, verifier));
  const after = await fetch(server.userinfo, { headers: { authorization: `Bearer ${access_token}` } });
  return [
    ['a wrong verifier', wrong.said],
    ['another redirect address', elsewhere.said],
    ['a good code', good.said],
    ['its access token at userinfo', await said(told)],
    ['its refresh token', refreshed.said],
    ['a scope that was not granted', wider.said],
    ['the code again', again.said],
    ['its access token after that', await said(after)],
  ];
}

async function devices(server: Server): Promise<Step[]> {
  const grant_type = 'urn:ietf:params:oauth:grant-type:device_code';
  const asked = await ask(server, 'device', { scope: 'openid' });
  const device_code = asked.json['device_code'] ?? '';
  const first = await ask(server, 'token', { grant_type, device_code });
  const unknown = await ask(server, 'token', { grant_type, device_code: 'made-up' });
  const none = await ask(server, 'token', { grant_type });
  const stranger = await ask(server, 'token', { grant_type, device_code }, {}, server.worker);
  return [
    ['a device asks', asked.said],
    ['a first poll', first.said],
    ['a made-up code', unknown.said],
    ['no code', none.said],
    ['a client that is not registered for devices', stranger.said],
  ];
}

async function approvals(server: Server): Promise<Step[]> {
  const grant_type = 'urn:openid:params:grant-type:ciba';
  const hint = { scope: 'openid', login_hint: server.person };
  const asked = await ask(server, 'backchannel', { ...hint, binding_message: 'W4SCT' });
  const auth_req_id = asked.json['auth_req_id'] ?? '';
  const steps: Record<string, Promise<{ said: string }>> = {
    'asked for approval': Promise.resolve(asked),
    'nobody named': ask(server, 'backchannel', { scope: 'openid' }),
    'two hints': ask(server, 'backchannel', { ...hint, id_token_hint: 'x.y.z' }),
    'a person nobody knows': ask(server, 'backchannel', { scope: 'openid', login_hint: 'nobody@example.com' }),
    'no openid': ask(server, 'backchannel', { scope: 'email', login_hint: server.person }),
    'an expiry that is no number': ask(server, 'backchannel', { ...hint, requested_expiry: 'soon' }),
    'a request object': ask(server, 'backchannel', { ...hint, request: 'x.y.z' }),
    'a client that is not registered for it': ask(server, 'backchannel', hint, {}, server.worker),
    'a poll': ask(server, 'token', { grant_type, auth_req_id }),
    'a made-up request': ask(server, 'token', { grant_type, auth_req_id: 'made-up' }),
    'no request': ask(server, 'token', { grant_type }),
  };
  return Promise.all(Object.entries(steps).map(async ([name, step]): Promise<Step> => [name, (await step).said]));
}

async function registrations(server: Server): Promise<Step[]> {
  const good = { redirect_uris: ['https://a.example/cb'] };
  const bodies: Record<string, unknown> = {
    'a registration': good,
    'an address that is none': { redirect_uris: ['no address'] },
    'an address with a fragment': { redirect_uris: ['https://a.example/cb#x'] },
    'an unknown grant type': { ...good, grant_types: ['guess'] },
    'an unknown response type': { ...good, response_types: ['guess'] },
    'an unknown way to prove itself': { ...good, token_endpoint_auth_method: 'guess' },
    'an algorithm that is none': { ...good, id_token_signed_response_alg: 'none' },
    'keys and an address of keys': { ...good, jwks: { keys: [] }, jwks_uri: 'https://a.example/jwks' },
    'no addresses': { grant_types: ['authorization_code'] },
    'addresses that are no list': { redirect_uris: 'https://a.example/cb' },
  };
  const steps = Object.entries(bodies).map(async ([name, body]): Promise<Step> => {
    const headers = { 'content-type': 'application/json' };
    return [name, await said(await fetch(server.registration, { method: 'POST', headers, body: JSON.stringify(body) }))];
  });
  return Promise.all(steps);
}

async function proofs(server: Server): Promise<Step[]> {
  const { privateKey, publicKey } = await generateKeyPair('ES256');
  const jwk = await exportJWK(publicKey);
  let nonce: string | undefined;
  const proof = (claims: Fields | { iat: number } = {}, header: Record<string, unknown> = {}, key: CryptoKey = privateKey) =>
    new SignJWT({ htm: 'POST', htu: server.token, jti: randomUUID(), ...(nonce && { nonce }), ...claims })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk, ...header })
      .setIssuedAt('iat' in claims ? Number(claims.iat) : undefined)
      .sign(key);
  const send = async (DPoP: string) => {
    const body = new URLSearchParams({
      grant_type: 'client_credentials', client_id: server.worker.id, client_secret: server.worker.secret,
    });
    const given = await fetch(server.token, { method: 'POST', body, headers: { DPoP } });
    nonce = given.headers.get('dpop-nonce') ?? nonce;
    const kind = given.ok ? ` ${((await given.clone().json()) as Fields)['token_type']}` : '';
    return `${await said(given)}${kind}`;
  };
  // Learn the nonce where there is one.
  await send(await proof());
  const used = await proof();
  const stranger = await generateKeyPair('ES256');
  return [
    ['a proof', await send(used)],
    ['the same proof again', await send(used)],
    ['a proof for another method', await send(await proof({ htm: 'GET' }))],
    ['a proof for another address', await send(await proof({ htu: 'https://evil.example/token' }))],
    ['a proof of another type', await send(await proof({}, { typ: 'JWT' }))],
    ['a proof by another key', await send(await proof({}, {}, stranger.privateKey))],
    ['an old proof', await send(await proof({ iat: Math.floor(Date.now() / 1000) - 3600 }))],
    ['a proof from the future', await send(await proof({ iat: Math.floor(Date.now() / 1000) + 3600 }))],
    ['a proof without a name', await send(await proof({ jti: '' }))],
    ['no proof at all', await send('made-up')],
  ];
}

/** Where a step's answers differ: ours, theirs, and the rule that decides. */
type Differences = Record<string, [ours: string, theirs: string, because: string]>;

const stories: Record<string, [tell: (server: Server) => Promise<Step[]>, differs: Differences]> = {
  'a code': [codes, {}],
  'a device': [devices, {
    'a client that is not registered for devices': [
      '400 unauthorized_client', '400 invalid_request', 'RFC 6749 section 5.2: unauthorized_client is this very case',
    ],
  }],
  'an approval': [approvals, {
    'a client that is not registered for it': [
      '400 unauthorized_client', '400 invalid_request', 'CIBA Core section 13: unauthorized_client is this very case',
    ],
    'no openid': [
      '400 invalid_scope', '400 invalid_request', 'CIBA Core sections 7.1 and 13: scope must have openid, and is wrong without',
    ],
  }],
  'a registration': [registrations, {
    'addresses that are no list': [
      '400 invalid_client_metadata', '400 invalid_redirect_uri', 'RFC 7591 section 3.2.2: no address is wrong, their form is',
    ],
  }],
  'a proof of possession': [proofs, {
    'the same proof again': [
      '400 invalid_dpop_proof', '400 invalid_grant', 'RFC 9449 section 5: a proof that is not valid is invalid_dpop_proof',
    ],
  }],
};

for (const [name, [tell, differs]] of Object.entries(stories)) {
  test(`${name} goes the same way, or as the rule says`, async () => {
    const [mine, other] = [await tell(await servers.ours()), await tell(servers.theirs)];
    const both = mine.map(([step, answer], at) => [step, answer, other[at]![1]] as const);
    const found = Object.fromEntries(
      both.filter(([, ours, theirs]) => ours !== theirs).map(([step, ours, theirs]) => [step, { ours, theirs }]),
    );
    const known = Object.entries(differs).map(([step, [ours, theirs]]) => [step, { ours, theirs }]);
    assert.deepEqual(found, Object.fromEntries(known));
  });
}
