/**
 * Auth0's SDK for agents, `@auth0/ai-vercel`, unmodified: what it calls a tenant's
 * domain is the demo's. It speaks https only.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { tool } from 'ai';
import { z } from 'zod';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

// The SDK's ES modules leave file endings to a bundler; Node.js reads its CommonJS.
const require = createRequire(import.meta.url);
const { Auth0AI, getAccessTokenFromTokenVault, getAsyncAuthorizationCredentials, runWithAIContext } =
  require('@auth0/ai-vercel') as typeof import('@auth0/ai-vercel');
const { AccessDeniedInterrupt, AuthorizationPendingInterrupt, TokenVaultInterrupt } =
  require('@auth0/ai/interrupts') as typeof import('@auth0/ai/interrupts');

const attorn = demo({ name: 'auth0-ai', tls: true, link: ['slack'] });

const sdk = (name = 'ATTORN_CLIENT') =>
  new Auth0AI({
    auth0: {
      domain: env(attorn, 'ATTORN_DOMAIN'),
      clientId: env(attorn, `${name}_ID`),
      clientSecret: env(attorn, `${name}_SECRET`),
    },
  });

/** Calls a tool as the `ai` package does. */
async function call(wrapped: { execute?: unknown }, id: string): Promise<unknown> {
  const execute = wrapped.execute as (input: object, options: object) => Promise<unknown>;
  return runWithAIContext({ threadID: 'thread' }, () => execute({}, { toolCallId: id, messages: [] }));
}

describe('a tool with the Token Vault', () => {
  const slack = { scopes: ['channels:read'] };
  const saysToken = () =>
    tool({
      description: 'Says whether there is a token',
      inputSchema: z.object({}),
      execute: async () => getAccessTokenFromTokenVault(),
    });

  test("gets the person's Slack token for a refresh token", async () => {
    const wrapped = sdk().withTokenVault(
      {
        ...slack,
        connection: env(attorn, 'ATTORN_CONNECTION_SLACK'),
        refreshToken: async () => env(attorn, 'ATTORN_REFRESH_TOKEN'),
      },
      saysToken(),
    );
    const token = await call(wrapped, 'one');
    assert.equal(typeof token, 'string');
    // A token of Slack's and not one of ours.
    assert.match(token as string, /^xox/);
  });

  test('gets it for an access token at the API that the token is for', async () => {
    const wrapped = sdk('ATTORN_API_CLIENT').withTokenVault(
      {
        ...slack,
        connection: env(attorn, 'ATTORN_CONNECTION_SLACK'),
        accessToken: async () => env(attorn, 'ATTORN_ACCESS_TOKEN'),
        subjectTokenType: 'urn:ietf:params:oauth:token-type:access_token' as never,
      },
      saysToken(),
    );
    assert.match((await call(wrapped, 'one')) as string, /^xox/);
  });

  test('is interrupted where the person linked nothing, or not these scopes', async () => {
    const refreshToken = async () => env(attorn, 'ATTORN_REFRESH_TOKEN');
    const nothing = { scopes: [], connection: env(attorn, 'ATTORN_CONNECTION_GOOGLE'), refreshToken };
    await assert.rejects(call(sdk().withTokenVault(nothing, saysToken()), 'one'), TokenVaultInterrupt);
    const more = { scopes: ['admin'], connection: env(attorn, 'ATTORN_CONNECTION_SLACK'), refreshToken };
    await assert.rejects(call(sdk().withTokenVault(more, saysToken()), 'one'), (error: unknown) => {
      assert.ok(error instanceof TokenVaultInterrupt);
      assert.ok(error.requiredScopes.includes('admin'));
      return true;
    });
  });
});

describe('a tool with async authorization', () => {
  const asks = (more: object) =>
    sdk().withAsyncAuthorization(
      {
        userID: async () => env(attorn, 'ATTORN_USER_ID'),
        bindingMessage: async () => 'Ring the bell',
        scopes: ['openid'],
        audience: env(attorn, 'ATTORN_AUDIENCE'),
        ...more,
      },
      tool({
        description: 'Rings the bell',
        inputSchema: z.object({}),
        execute: async () => getAsyncAuthorizationCredentials()?.accessToken,
      }),
    );

  test('waits in block mode until the person approves', async () => {
    const onAuthorizationRequest = async () => new Browser(attorn).decide('approve');
    const token = await call(asks({ onAuthorizationRequest }), 'block');
    const claims = JSON.parse(Buffer.from((token as string).split('.')[1]!, 'base64url').toString());
    assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.equal(claims.aud, env(attorn, 'ATTORN_AUDIENCE'));
  });

  test('hands on the denial', async () => {
    const onAuthorizationRequest = async () => new Browser(attorn).decide('deny');
    let denied: unknown;
    const onUnauthorized = async (error: Error) => {
      denied = error;
      return 'denied';
    };
    assert.equal(await call(asks({ onAuthorizationRequest, onUnauthorized }), 'denied'), 'denied');
    assert.ok(denied instanceof AccessDeniedInterrupt, String(denied));
  });

  test('in interrupt mode goes on where it stopped', async () => {
    const details = [{ type: env(attorn, 'ATTORN_DETAILS_TYPE'), action: 'ring the bell' }];
    const wrapped = asks({ onAuthorizationRequest: 'interrupt', authorizationDetails: async () => details });
    await assert.rejects(call(wrapped, 'interrupt'), AuthorizationPendingInterrupt);
    await new Browser(attorn).decide('approve');
    assert.equal(typeof (await call(wrapped, 'interrupt')), 'string');
  });
});
