/**
 * The same single requests to Attorn and to npm `oidc-provider`: status and error code are the same,
 * or the difference is in the table with the rule that decides. A difference that is gone fails too.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Browser } from './support/browser.ts';
import { redirect, said, type Server, twoServers } from './support/two-servers.ts';

const servers = twoServers('differential');
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';

type Endpoint = 'authorize' | 'token' | 'par' | 'introspection' | 'revocation' | 'userinfo';

interface Case {
  at: Endpoint;
  /** Parameters beside the client's own; an array says one twice. */
  send?: Record<string, string | string[]>;
  as?: 'client' | 'worker' | 'nobody' | 'wrong secret' | 'unknown' | 'wrong basic' | 'malformed basic';
  init?: RequestInit;
  /** What each answers where they differ, and the rule that decides. */
  differs?: { ours: string; theirs: string; because: string };
}

const request = {
  response_type: 'code',
  redirect_uri: redirect,
  scope: 'openid',
  code_challenge: challenge,
  code_challenge_method: 'S256',
};

const cases: Record<string, Case> = {
  'no grant type': { at: 'token' },
  'an unknown grant type': { at: 'token', send: { grant_type: 'guess' } },
  'the password grant': { at: 'token', send: { grant_type: 'password', username: 'a', password: 'b' } },
  'a wrong secret': { at: 'token', as: 'wrong secret', send: { grant_type: 'client_credentials' } },
  'a wrong secret in Basic': { at: 'token', as: 'wrong basic', send: { grant_type: 'client_credentials' } },
  'Basic that is no base64': {
    at: 'token', as: 'malformed basic', send: { grant_type: 'client_credentials' },
    differs: { ours: '401 invalid_client Basic', theirs: '400 invalid_request', because: 'RFC 6749 section 5.2: an attempt by the header is answered 401 with its scheme' },
  },
  'an unknown client': { at: 'token', as: 'unknown', send: { grant_type: 'client_credentials' } },
  'no client': {
    at: 'token', as: 'nobody', send: { grant_type: 'client_credentials' },
    differs: { ours: '401 invalid_client', theirs: '400 invalid_request', because: 'RFC 6749 section 5.2: no client authentication included is invalid_client' },
  },
  'no code': { at: 'token', send: { grant_type: 'authorization_code' } },
  'a made-up code': {
    at: 'token',
    send: { grant_type: 'authorization_code', code: 'made-up', redirect_uri: redirect, code_verifier: challenge },
  },
  'no refresh token': { at: 'token', send: { grant_type: 'refresh_token' } },
  'a made-up refresh token': { at: 'token', send: { grant_type: 'refresh_token', refresh_token: 'made-up' } },
  'a grant the client is not registered for': {
    at: 'token', send: { grant_type: 'client_credentials' },
    differs: { ours: '400 unauthorized_client', theirs: '400 invalid_request', because: 'RFC 6749 section 5.2: unauthorized_client is this very case' },
  },
  'a client for itself': { at: 'token', as: 'worker', send: { grant_type: 'client_credentials' } },
  'a scope that nobody has': {
    at: 'token', as: 'worker', send: { grant_type: 'client_credentials', scope: 'fly' },
    differs: { ours: '400 invalid_scope', theirs: '200', because: 'RFC 6749 section 3.3: a scope may be passed over or refused; we refuse' },
  },
  'a parameter twice': { at: 'token', send: { grant_type: ['client_credentials', 'client_credentials'] } },
  'a body that is no form': {
    at: 'token',
    init: { headers: { 'content-type': 'text/plain' }, body: 'grant_type=client_credentials' },
  },
  'a pushed request': { at: 'par', send: request },
  'a pushed request to a foreign address': { at: 'par', send: { ...request, redirect_uri: 'https://evil.example/' } },
  'a pushed request without PKCE': {
    at: 'par',
    send: { response_type: 'code', redirect_uri: redirect, scope: 'openid' },
  },
  'a pushed request with plain PKCE': { at: 'par', send: { ...request, code_challenge_method: 'plain' } },
  'a pushed request for the implicit grant': { at: 'par', send: { ...request, response_type: 'token' } },
  'a pushed request_uri': {
    at: 'par', send: { ...request, request_uri: 'urn:ietf:params:oauth:request_uri:x' },
    differs: { ours: '400 invalid_request', theirs: '400 request_uri_not_supported', because: 'RFC 9126 section 2.1: it is refused; its parameter is malformed here, not unsupported' },
  },
  'a pushed request with prompt none and login': { at: 'par', send: { ...request, prompt: 'none login' } },
  'a pushed request of an unknown client': { at: 'par', as: 'unknown', send: request },
  'a browser with an unknown client': { at: 'authorize', as: 'unknown', send: request },
  'a browser to a foreign address': { at: 'authorize', send: { ...request, redirect_uri: 'https://evil.example/' } },
  'a browser without a response type': {
    at: 'authorize',
    send: { redirect_uri: redirect, scope: 'openid', code_challenge: challenge, code_challenge_method: 'S256' },
  },
  'a browser for the implicit grant': { at: 'authorize', send: { ...request, response_type: 'token' } },
  'a browser without PKCE': { at: 'authorize', send: { response_type: 'code', redirect_uri: redirect } },
  'a browser with a scope that nobody has': {
    at: 'authorize',
    send: { ...request, scope: 'openid fly' },
    differs: {
      ours: 'the client hears invalid_scope',
      theirs: 'asks the person',
      because: 'RFC 6749 section 3.3: a scope may be passed over or refused; we refuse',
    },
  },
  'a browser with an unknown prompt': { at: 'authorize', send: { ...request, prompt: 'nod' } },
  'a browser with max_age that is no number': { at: 'authorize', send: { ...request, max_age: 'old' } },
  'a browser with a request object': { at: 'authorize', send: { ...request, request: 'x.y.z' } },
  'a browser with a foreign request_uri': {
    at: 'authorize',
    send: { ...request, request_uri: 'https://evil.example/request' },
  },
  'a browser with prompt none and nobody signed in': { at: 'authorize', send: { ...request, prompt: 'none' } },
  'a browser with a parameter twice': {
    at: 'authorize',
    send: { ...request, scope: ['openid', 'openid'] },
  },
  'introspection of nothing': { at: 'introspection' },
  'introspection of a made-up token': { at: 'introspection', send: { token: 'made-up' } },
  'introspection by nobody': {
    at: 'introspection', as: 'nobody', send: { token: 'made-up' },
    differs: { ours: '401 invalid_client', theirs: '400 invalid_request', because: 'RFC 7662 section 2.3 with RFC 6749 section 5.2' },
  },
  'revocation of nothing': { at: 'revocation' },
  'revocation of a made-up token': { at: 'revocation', send: { token: 'made-up' } },
  'revocation with an unknown hint': { at: 'revocation', send: { token: 'made-up', token_type_hint: 'guess' } },
  'revocation by nobody': {
    at: 'revocation', as: 'nobody', send: { token: 'made-up' },
    differs: { ours: '401 invalid_client', theirs: '400 invalid_request', because: 'RFC 7009 section 2.2.1 with RFC 6749 section 5.2' },
  },
  'userinfo without a token': { at: 'userinfo', as: 'nobody', init: { method: 'GET' } },
  'userinfo with a made-up token': {
    at: 'userinfo',
    as: 'nobody',
    init: { method: 'GET', headers: { authorization: 'Bearer made-up' } },
  },
};

/** Where a browser is led: to a page of the server's own, or back to the client with an error. */
async function led(server: Server, query: URLSearchParams): Promise<string> {
  query.delete('client_secret');
  const address = `${server.authorize}?${query}`;
  const given = await fetch(address, { redirect: 'manual' });
  let to = given.headers.get('location');
  // Nobody is sent to a client that registered itself before they sign in (RFC 9700 section 4.11.2).
  if (server !== servers.theirs && to?.startsWith('/sign-in')) to = (await new Browser(servers.attorn).visit(address)).location ?? to;
  if (!to?.startsWith(redirect)) return to === null ? `a page, ${given.status}` : 'asks the person';
  // The peer answers the implicit grant where that grant would: in the fragment.
  const { searchParams, hash } = new URL(to);
  return `the client hears ${searchParams.get('error') ?? new URLSearchParams(hash.slice(1)).get('error')}`;
}

async function answer(server: Server, { at, send = {}, as = 'client', init }: Case): Promise<string> {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(send)) {
    for (const one of [value].flat()) body.append(name, one);
  }
  const headers = new Headers(init?.headers);
  const basic = (id: string, secret: string) => headers.set('authorization', `Basic ${btoa(`${id}:${secret}`)}`);
  const post = (id: string, secret: string) => {
    body.append('client_id', id);
    body.append('client_secret', secret);
  };
  if (as === 'client' || as === 'worker') post(server[as].id, server[as].secret);
  if (as === 'wrong secret') post(server.client.id, 'wrong');
  if (as === 'unknown') post('somebody-else', 'wrong');
  if (as === 'wrong basic') basic(server.client.id, 'wrong');
  if (as === 'malformed basic') headers.set('authorization', 'Basic %%%');
  if (at === 'authorize') return led(server, body);
  const method = init?.method ?? 'POST';
  const given = await fetch(server[at], { method, ...(method === 'POST' && { body }), ...init, headers });
  return said(given);
}

for (const [name, one] of Object.entries(cases)) {
  test(`${name} is answered ${one.differs ? 'as the rule says' : 'alike'}`, async () => {
    const [mine, other] = [await answer(await servers.ours(), one), await answer(servers.theirs, one)];
    if (one.differs) {
      assert.deepEqual({ ours: mine, theirs: other }, { ours: one.differs.ours, theirs: one.differs.theirs });
    } else {
      assert.equal(mine, other);
    }
  });
}
