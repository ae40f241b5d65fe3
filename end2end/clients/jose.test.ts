/**
 * npm `jose`, unmodified, on the side of whoever receives our tokens: with nothing but
 * the issuer's address it finds the keys and verifies what `openid-client` was given.
 */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { JWTPayload, JWTVerifyOptions } from 'jose';
import { createRemoteJWKSet, errors, jwtVerify } from 'jose';
import * as client from 'openid-client';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

const attorn = demo({ name: 'jose', tls: true });
const redirect = 'https://app.example.com/callback';

/** Verifies a token as a resource server does, which refetches keys that it does not know. */
async function verify(token: string, options: JWTVerifyOptions): Promise<{ claims: JWTPayload; alg: string }> {
  const issuer = `${attorn.url}/`;
  const metadata = (await (await fetch(`${issuer}.well-known/openid-configuration`)).json()) as { jwks_uri: string };
  const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));
  const { payload, protectedHeader } = await jwtVerify(token, keys, { issuer, ...options });
  return { claims: payload, alg: protectedHeader.alg };
}

/** A client of its own that signs the person in, with ID tokens of this algorithm. */
async function tokensOf(alg: string) {
  const config = await client.dynamicClientRegistration(new URL(`${attorn.url}/`), {
    redirect_uris: [redirect],
    id_token_signed_response_alg: alg,
  });
  const pkceCodeVerifier = client.randomPKCECodeVerifier();
  const address = client.buildAuthorizationUrl(config, {
    redirect_uri: redirect,
    scope: 'openid email',
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
  });
  const back = await new Browser(attorn).allow(address);
  const tokens = await client.authorizationCodeGrant(config, back, { pkceCodeVerifier });
  return { tokens, clientId: config.clientMetadata().client_id };
}

describe('an ID token', () => {
  for (const alg of ['RS256', 'ES256', 'EdDSA']) {
    test(`signed with ${alg} is the issuer's, and for this client alone`, async () => {
      const { tokens, clientId } = await tokensOf(alg);
      const verified = await verify(tokens.id_token!, { audience: clientId, algorithms: [alg] });
      assert.equal(verified.alg, alg);
      assert.equal(verified.claims.sub, env(attorn, 'ATTORN_USER_ID'));
      const another = verify(tokens.id_token!, { audience: 'another' });
      await assert.rejects(another, errors.JWTClaimValidationFailed);
    });
  }
});

describe('an access token', () => {
  let tokens: client.TokenEndpointResponse;
  before(async () => void ({ tokens } = await tokensOf('RS256')));

  test('is a JWT of RFC 9068, with every claim that it demands', async () => {
    const { claims, alg } = await verify(tokens.access_token, {
      audience: `${attorn.url}/`,
      typ: 'at+jwt',
      algorithms: ['ES256'],
      requiredClaims: ['iss', 'exp', 'aud', 'sub', 'client_id', 'iat', 'jti'],
    });
    assert.equal(alg, 'ES256');
    assert.equal(claims['scope'], 'openid email');
    assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
  });

  test('is no ID token, nor an ID token one (RFC 9068 §4)', async () => {
    await assert.rejects(verify(tokens.id_token!, { typ: 'at+jwt' }), errors.JWTClaimValidationFailed);
  });

  test('with a byte changed is nobody’s', async () => {
    const [head, body, signature] = tokens.access_token.split('.') as [string, string, string];
    const other = JSON.parse(Buffer.from(body, 'base64url').toString());
    other.sub = 'somebody-else';
    const forged = [head, Buffer.from(JSON.stringify(other)).toString('base64url'), signature].join('.');
    await assert.rejects(verify(forged, {}), errors.JWSSignatureVerificationFailed);
  });
});
