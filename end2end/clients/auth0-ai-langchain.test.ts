/**
 * Auth0's SDK for LangChain, `@auth0/ai-langchain`, unmodified, with its tools in a real
 * LangGraph graph: where a person is needed the graph stops, and goes on afterwards.
 */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { Browser } from './support/browser.ts';
import { demo, env } from './support/demo.ts';

// The SDK's ES modules leave file endings to a bundler; Node.js reads its CommonJS.
const require = createRequire(import.meta.url);
const {
  Auth0AI,
  getAccessTokenForConnection,
  getCIBACredentials,
  getDeviceAuthorizerCredentials,
} = require('@auth0/ai-langchain') as typeof import('@auth0/ai-langchain');
const { AIMessage } = require('@langchain/core/messages') as typeof import('@langchain/core/messages');
const { tool } = require('@langchain/core/tools') as typeof import('@langchain/core/tools');
const { END, MemorySaver, MessagesAnnotation, START, StateGraph } =
  require('@langchain/langgraph') as typeof import('@langchain/langgraph');
const { ToolNode } = require('@langchain/langgraph/prebuilt') as typeof import('@langchain/langgraph/prebuilt');

const attorn = demo({ name: 'auth0-ai-langchain', tls: true, link: ['slack'] });

const sdk = (name = 'ATTORN_CLIENT') =>
  new Auth0AI({
    auth0: {
      domain: env(attorn, 'ATTORN_DOMAIN'),
      clientId: env(attorn, `${name}_ID`),
      clientSecret: env(attorn, `${name}_SECRET`),
    },
  });

/** A tool that answers with what this gives. */
const says = (token: () => string | undefined) =>
  tool(async () => token() ?? 'no token', { name: 'says', description: 'Says its token', schema: z.object({}) });

type Tool = ReturnType<typeof says>;

interface Interrupt {
  code: string;
  requiredScopes?: string[];
  request?: { id: string };
  response?: { verificationUriComplete: string };
}

/** What a run of the graph came to. */
interface Outcome {
  /** The tool's answer, if it got as far. */
  said: string | undefined;
  /** Why the graph stopped, if it did. */
  interrupt: Interrupt | undefined;
}

/** A graph that calls the tool, as a model would; called again it goes on where it stopped. */
function graphOf(called: Tool, credentials: object = {}): () => Promise<Outcome> {
  const graph = new StateGraph(MessagesAnnotation)
    .addNode('tools', new ToolNode([called]))
    .addEdge(START, 'tools')
    .addEdge('tools', END)
    .compile({ checkpointer: new MemorySaver() });
  const config = { configurable: { thread_id: 'thread', _credentials: credentials } };
  const call = new AIMessage({ content: '', tool_calls: [{ name: 'says', args: {}, id: 'one', type: 'tool_call' }] });
  let input: { messages: InstanceType<typeof AIMessage>[] } | null = { messages: [call] };
  return async () => {
    const { messages } = await graph.invoke(input, config);
    input = null;
    const last = messages.at(-1);
    const [task] = (await graph.getState(config)).tasks;
    return {
      said: last?.getType() === 'tool' ? String(last.content) : undefined,
      interrupt: task?.interrupts[0]?.value as Interrupt | undefined,
    };
  };
}

describe('a tool with the Token Vault', () => {
  const saysToken = () => says(() => getAccessTokenForConnection());
  const slack = () => ({ scopes: ['channels:read'], connection: env(attorn, 'ATTORN_CONNECTION_SLACK') });

  test("gets the person's Slack token for the refresh token of the graph's configuration", async () => {
    const run = graphOf(sdk().withTokenForConnection(slack(), saysToken()) as Tool, {
      refreshToken: env(attorn, 'ATTORN_REFRESH_TOKEN'),
    });
    // A token of Slack's and not one of ours.
    assert.match((await run()).said ?? '', /^xox/);
  });

  test('gets it for an access token at the API that the token is for', async () => {
    const options = {
      ...slack(),
      accessToken: async () => env(attorn, 'ATTORN_ACCESS_TOKEN'),
      subjectTokenType: 'urn:ietf:params:oauth:token-type:access_token' as never,
    };
    const run = graphOf(sdk('ATTORN_API_CLIENT').withTokenForConnection(options as never, saysToken()) as Tool);
    assert.match((await run()).said ?? '', /^xox/);
  });

  test('stops the graph where the person linked nothing, or not these scopes', async () => {
    const credentials = { refreshToken: env(attorn, 'ATTORN_REFRESH_TOKEN') };
    const nothing = { scopes: [], connection: env(attorn, 'ATTORN_CONNECTION_GOOGLE') };
    const unlinked = await graphOf(sdk().withTokenForConnection(nothing, saysToken()) as Tool, credentials)();
    assert.equal(unlinked.interrupt?.code, 'FEDERATED_CONNECTION_ERROR');
    const more = { ...slack(), scopes: ['admin'] };
    const narrow = await graphOf(sdk().withTokenForConnection(more, saysToken()) as Tool, credentials)();
    assert.equal(narrow.interrupt?.code, 'FEDERATED_CONNECTION_ERROR');
    assert.ok(narrow.interrupt?.requiredScopes?.includes('admin'));
    assert.equal(narrow.said, undefined);
  });
});

describe('a tool with async authorization', () => {
  const asks = (more: object) =>
    sdk().withAsyncUserConfirmation(
      {
        userID: async () => env(attorn, 'ATTORN_USER_ID'),
        bindingMessage: async () => 'Ring the bell',
        scopes: ['openid'],
        audience: env(attorn, 'ATTORN_AUDIENCE'),
        ...more,
      },
      says(() => getCIBACredentials()?.accessToken),
    ) as Tool;

  test('waits in block mode until the person approves', async () => {
    const onAuthorizationRequest = async () => new Browser(attorn).decide('approve');
    const { said } = await graphOf(asks({ onAuthorizationRequest }))();
    const claims = JSON.parse(Buffer.from(said!.split('.')[1]!, 'base64url').toString());
    assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.equal(claims.aud, env(attorn, 'ATTORN_AUDIENCE'));
  });

  test('stops the graph in interrupt mode, which goes on once the person approved', async () => {
    const details = [{ type: env(attorn, 'ATTORN_DETAILS_TYPE'), action: 'ring the bell' }];
    const run = graphOf(asks({ onAuthorizationRequest: 'interrupt', authorizationDetails: async () => details }));
    const stopped = await run();
    assert.equal(stopped.interrupt?.code, 'CIBA_AUTHORIZATION_PENDING');
    assert.ok(stopped.interrupt.request?.id);
    await new Browser(attorn).decide('approve');
    const { said, interrupt } = await run();
    assert.equal(interrupt, undefined);
    assert.equal(said?.split('.').length, 3);
  });

  test('hands on the denial', async () => {
    let denied: { code?: string } | undefined;
    const onUnauthorized = async (error: { code?: string }) => {
      denied = error;
      return 'denied';
    };
    const run = graphOf(asks({ onUnauthorized }));
    assert.equal((await run()).interrupt?.code, 'CIBA_AUTHORIZATION_PENDING');
    await new Browser(attorn).decide('deny');
    assert.equal((await run()).said, 'denied');
    assert.equal(denied?.code, 'CIBA_ACCESS_DENIED');
  });
});

describe('a tool with the device grant', () => {
  test('stops the graph with a code to type, and goes on once its person allowed it', async () => {
    const answer = await fetch(`${attorn.url}/oidc/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'A tool without a browser',
        grant_types: ['urn:ietf:params:oauth:grant-type:device_code'],
        token_endpoint_auth_method: 'none',
      }),
    });
    assert.equal(answer.status, 201);
    const { client_id: clientId } = (await answer.json()) as { client_id: string };
    const auth0 = { domain: env(attorn, 'ATTORN_DOMAIN'), clientId };
    const run = graphOf(
      new Auth0AI({ auth0 }).withDeviceAuthorizationFlow(
        { scopes: ['openid'], audience: `${attorn.url}/proxy` },
        says(() => getDeviceAuthorizerCredentials()?.accessToken),
      ) as Tool,
    );
    const { interrupt } = await run();
    assert.equal(interrupt?.code, 'DEVICE_AUTHORIZATION_PENDING');
    await new Browser(attorn).connectDevice(interrupt.response!.verificationUriComplete);
    const { said } = await run();
    const claims = JSON.parse(Buffer.from(said!.split('.')[1]!, 'base64url').toString());
    assert.equal(claims.sub, env(attorn, 'ATTORN_USER_ID'));
    assert.equal(claims.aud, `${attorn.url}/proxy`);
  });
});
