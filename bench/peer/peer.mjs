/**
 * The peer: npm `oidc-provider`, in memory, set up for the same work as Attorn in `attorn-bench`.
 *
 * Reads one line of JSON from standard input (`client`, `person`, `resource`, `chains`) and, once it
 * listens, writes one line of JSON to standard output (`port`, `refresh_tokens`).
 */
import { createCipheriv, createDecipheriv, generateKeyPairSync, randomBytes } from 'node:crypto';
import { createInterface } from 'node:readline';
import Provider, { errors } from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
const asked = JSON.parse((await lines[Symbol.asyncIterator]().next()).value);
lines.close();
const { client, person, resource } = asked;

/**
 * A store without the bundled one's costs: that keeps 1,000 entries and walks all tokens of a
 * grant at every write, so that long chains of refresh tokens would make it slower and slower.
 */
const store = new Map();
const grants = new Map();
class Memory {
  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    const key = this.key(id);
    store.set(key, payload);
    if (payload.grantId && this.model !== 'Grant') {
      const members = grants.get(payload.grantId);
      if (members) members.add(key);
      else grants.set(payload.grantId, new Set([key]));
    }
  }

  async find(id) {
    return store.get(this.key(id));
  }

  async findByUid() {
    return undefined;
  }

  async findByUserCode() {
    return undefined;
  }

  async consume(id) {
    store.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    store.delete(this.key(id));
  }

  async revokeByGrantId(grantId) {
    for (const key of grants.get(grantId) ?? []) store.delete(key);
    grants.delete(grantId);
  }
}

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider('http://localhost', {
  adapter: Memory,
  clients: [
    {
      client_id: client.id,
      client_secret: client.secret,
      redirect_uris: ['https://client.example.com/callback'],
      grant_types: [
        'authorization_code',
        'refresh_token',
        'client_credentials',
        'urn:openid:params:grant-type:ciba',
        EXCHANGE,
      ],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
      backchannel_token_delivery_mode: 'poll',
    },
  ],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), alg: 'ES256', use: 'sig' }] },
  scopes: ['openid', 'offline_access'],
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  rotateRefreshToken: true,
  ttl: {
    BackchannelAuthenticationRequest: 7200,
    ClientCredentials: 600,
    AccessToken: 600,
    RefreshToken: 86400,
    Grant: 86400,
  },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    ciba: {
      enabled: true,
      deliveryModes: ['poll'],
      processLoginHint: (_, hint) => (hint === person ? person : undefined),
      validateBindingMessage: () => {},
      validateRequestContext: () => {},
      verifyUserCode: () => {},
      triggerAuthenticationDevice: () => {},
    },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'read',
        audience: resource,
        accessTokenTTL: 600,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});

/** The token of an account at another provider, sealed as a vault would. */
const sealingKey = randomBytes(32);
const iv = randomBytes(12);
const cipher = createCipheriv('aes-256-gcm', sealingKey, iv);
const linked = `xoxp-${'0123456789'.repeat(7)}`;
const sealed = {
  bytes: Buffer.concat([cipher.update(JSON.stringify({ access: linked })), cipher.final()]),
  tag: cipher.getAuthTag(),
};
const vault = new Map([[`${person} sign-in-with-slack`, sealed]]);

/** As much of a token exchange as the store knows: the subject's token, its grant, the account. */
const exchange = async (ctx) => {
  const { client: asking, params } = ctx.oidc;
  const subject = await provider.RefreshToken.find(params.subject_token);
  if (!subject || subject.clientId !== asking.clientId || subject.isExpired) {
    throw new errors.InvalidGrant('the subject token is not good');
  }
  const grant = await provider.Grant.find(subject.grantId);
  const row = vault.get(`${subject.accountId} ${params.connection}`);
  if (!grant || grant.isExpired || !row) throw new errors.InvalidGrant('there is no account');
  const opened = createDecipheriv('aes-256-gcm', sealingKey, iv).setAuthTag(row.tag);
  const text = Buffer.concat([opened.update(row.bytes), opened.final()]);
  ctx.body = {
    access_token: JSON.parse(text).access,
    issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
    token_type: 'Bearer',
    expires_in: 3600,
    scope: 'channels:read chat:write',
  };
};
provider.registerGrantType(
  EXCHANGE,
  exchange,
  ['subject_token', 'subject_token_type', 'connection'],
);

const refresh_tokens = [];
const registered = await provider.Client.find(client.id);
for (let chain = 0; chain < asked.chains; chain += 1) {
  const grant = new provider.Grant({ clientId: client.id, accountId: person });
  grant.addOIDCScope('offline_access');
  grant.addResourceScope(resource, 'read');
  const grantId = await grant.save();
  const token = new provider.RefreshToken({
    client: registered,
    accountId: person,
    grantId,
    gty: 'authorization_code',
    authTime: Math.floor(Date.now() / 1000),
    scope: 'offline_access read',
    resource,
  });
  refresh_tokens.push(await token.save());
}

const server = provider.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${JSON.stringify({ port: server.address().port, refresh_tokens })}\n`);
});
// Connections stay while the others have their turn.
server.keepAliveTimeout = 120_000;
