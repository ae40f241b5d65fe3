/**
 * Attorn and npm `oidc-provider` beside each other, with the same clients.
 */
import type { Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before } from 'node:test';
import Provider from 'oidc-provider';
import { Browser } from './browser.ts';
import { type Attorn, demo } from './demo.ts';

export const redirect = 'https://app.example.com/callback';
const ciba = 'urn:openid:params:grant-type:ciba';
const device = 'urn:ietf:params:oauth:grant-type:device_code';

export interface Client {
  id: string;
  secret: string;
}

export interface Server {
  issuer: string;
  authorize: string;
  token: string;
  par: string;
  introspection: string;
  revocation: string;
  userinfo: string;
  device: string;
  backchannel: string;
  registration: string;
  /** Sends people, asks for approvals and has devices. */
  client: Client;
  /** Registered for client_credentials alone. */
  worker: Client;
  /** A person it knows, as a `login_hint`. */
  person: string;
  /** Goes to an address of `authorize`, signs in, allows, and gives where that leads. */
  allow(address: URL): Promise<URL>;
}

export interface TwoServers {
  /** Ours, with its clients registered: a test asks for it, for by then it has started. */
  ours(): Promise<Server>;
  theirs: Server;
  attorn: Attorn;
}

/** Starts both before the tests of a file and ends them after; what it gives is filled in by then. */
export function twoServers(name: string): TwoServers {
  const attorn = demo({ name });
  let ours: Promise<Server> | undefined;
  const both = { attorn, ours: () => (ours ??= ourServer(attorn)) } as TwoServers;
  let peer: HttpServer;
  before(async () => {
    [peer, both.theirs] = await peerServer();
  });
  after(() => peer.close());
  return both;
}

const grants = ['authorization_code', 'refresh_token', ciba, device];

async function peerServer(): Promise<[HttpServer, Server]> {
  const clients = [
    {
      client_id: 'app',
      client_secret: 'secret-of-app-that-is-long-enough',
      redirect_uris: [redirect],
      grant_types: grants,
      token_endpoint_auth_method: 'client_secret_post' as const,
      backchannel_token_delivery_mode: 'poll',
    },
    {
      client_id: 'worker',
      client_secret: 'secret-of-worker-that-is-long',
      redirect_uris: [],
      response_types: [],
      grant_types: ['client_credentials'],
      token_endpoint_auth_method: 'client_secret_post' as const,
    },
  ];
  const provider = new Provider('http://127.0.0.1', {
    clients,
    pkce: { required: () => true },
    scopes: ['openid', 'offline_access', 'email'],
    findAccount: (_: unknown, id: string) =>
      id === 'ada' ? { accountId: id, claims: () => ({ sub: id }) } : undefined,
    features: {
      devInteractions: { enabled: true },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      revocation: { enabled: true },
      pushedAuthorizationRequests: { enabled: true },
      deviceFlow: { enabled: true },
      dPoP: { enabled: true },
      registration: { enabled: true },
      ciba: {
        enabled: true,
        deliveryModes: ['poll'],
        processLoginHint: (_: unknown, hint: string) => hint,
        validateBindingMessage: () => undefined,
        validateRequestContext: () => undefined,
        verifyUserCode: () => undefined,
        triggerAuthenticationDevice: () => undefined,
      },
    },
  });
  const peer = provider.listen(0, '127.0.0.1');
  await new Promise((resolve) => peer.once('listening', resolve));
  const base = `http://127.0.0.1:${(peer.address() as AddressInfo).port}`;
  const server = {
    issuer: 'http://127.0.0.1',
    authorize: `${base}/auth`,
    token: `${base}/token`,
    par: `${base}/request`,
    introspection: `${base}/token/introspection`,
    revocation: `${base}/token/revocation`,
    userinfo: `${base}/me`,
    device: `${base}/device/auth`,
    backchannel: `${base}/backchannel`,
    registration: `${base}/reg`,
    client: { id: 'app', secret: clients[0]!.client_secret },
    worker: { id: 'worker', secret: clients[1]!.client_secret },
    person: 'ada',
    async allow(address: URL) {
      const browser = new Browser({ url: base } as Attorn, { email: 'ada', password: 'any' } as Attorn['user']);
      let page = await browser.submit(await browser.visit(address), { login: 'ada', password: 'any' });
      if (page.location === undefined) page = await browser.submit(page, { prompt: 'consent' });
      if (page.location === undefined) throw new Error(`the peer leads nowhere: ${page.url}`);
      return new URL(page.location);
    },
  };
  return [peer, server];
}

async function ourServer(attorn: Attorn): Promise<Server> {
  const url = attorn.url;
  const registration = `${url}/oidc/register`;
  const register = async (grant_types: string[], redirect_uris: string[], response_types: string[]) => {
    const body = { grant_types, redirect_uris, response_types, token_endpoint_auth_method: 'client_secret_post' };
    const answer = await fetch(registration, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_name: 'differential', ...body }),
    });
    const { client_id, client_secret } = (await answer.json()) as { client_id: string; client_secret: string };
    return { id: client_id, secret: client_secret };
  };
  return {
    issuer: `${url}/`,
    authorize: `${url}/authorize`,
    token: `${url}/oauth/token`,
    par: `${url}/oauth/par`,
    introspection: `${url}/oauth/introspect`,
    revocation: `${url}/oauth/revoke`,
    userinfo: `${url}/userinfo`,
    device: `${url}/oauth/device/code`,
    backchannel: `${url}/bc-authorize`,
    registration,
    client: await register(grants, [redirect], ['code']),
    worker: await register(['client_credentials'], [], []),
    person: attorn.user.email,
    allow: (address) => new Browser(attorn).allow(address),
  };
}

/** What the answer to a client says of itself: status, error code, and scheme where it is challenged. */
export async function said(given: Response): Promise<string> {
  const text = await given.text();
  let error = '';
  try {
    error = (JSON.parse(text) as { error?: string }).error ?? '';
  } catch {
    // No body, or none of JSON.
  }
  const scheme = given.headers.get('www-authenticate')?.split(' ')[0] ?? '';
  return [given.status, error, scheme].filter((part) => part !== '').join(' ');
}
