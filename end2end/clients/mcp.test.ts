/**
 * The MCP SDK's authorization, unmodified: from a resource's address alone it finds
 * the authorization server, registers itself, and gets a token for that resource.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OAuthClientProvider } from '@modelcontextprotocol/sdk/client/auth.js';
import { auth } from '@modelcontextprotocol/sdk/client/auth.js';
import type {
  OAuthClientInformationMixed,
  OAuthClientMetadata,
  OAuthTokens,
} from '@modelcontextprotocol/sdk/shared/auth.js';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

const attorn = demo({ name: 'mcp', tls: true, link: ['slack'] });

/** What an MCP client keeps. */
class Kept implements OAuthClientProvider {
  readonly redirectUrl = 'http://127.0.0.1:33418/callback';
  readonly clientMetadata: OAuthClientMetadata = {
    client_name: 'An MCP client',
    redirect_uris: [this.redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  };
  registered: OAuthClientInformationMixed | undefined;
  kept: OAuthTokens | undefined;
  address: URL | undefined;
  private verifier = '';

  clientInformation(): OAuthClientInformationMixed | undefined {
    return this.registered;
  }
  saveClientInformation(information: OAuthClientInformationMixed): void {
    this.registered = information;
  }
  tokens(): OAuthTokens | undefined {
    return this.kept;
  }
  saveTokens(tokens: OAuthTokens): void {
    this.kept = tokens;
  }
  redirectToAuthorization(address: URL): void {
    this.address = address;
  }
  saveCodeVerifier(verifier: string): void {
    this.verifier = verifier;
  }
  codeVerifier(): string {
    return this.verifier;
  }
}

test('an MCP client finds its way from a resource to a token for it', async () => {
  const serverUrl = `${attorn.url}/proxy`;
  const client = new Kept();
  assert.equal(await auth(client, { serverUrl }), 'REDIRECT');
  assert.ok(client.registered?.client_id, 'it registered itself');
  assert.equal(client.address?.searchParams.get('resource'), serverUrl);
  const back = await new Browser(attorn).allow(client.address!);
  const authorizationCode = back.searchParams.get('code') ?? undefined;
  assert.ok(authorizationCode);
  assert.equal(await auth(client, { serverUrl, authorizationCode }), 'AUTHORIZED');
  const claims = JSON.parse(Buffer.from(client.kept!.access_token.split('.')[1]!, 'base64url').toString());
  assert.equal(claims.aud, serverUrl);
  assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
  // The token is taken there; the person has not given this client the account yet.
  const call = await fetch(`${serverUrl}/${env(attorn, 'ATTORN_CONNECTION_SLACK')}/conversations.list`, {
    headers: { authorization: `Bearer ${client.kept!.access_token}` },
  });
  assert.equal(call.status, 403);
  assert.equal(((await call.json()) as { error: string }).error, 'federated_connection_permission_required');
});
