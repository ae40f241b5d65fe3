import { once } from 'node:events';
import { createServer } from 'node:http';
import type { APIRequestContext } from '@playwright/test';
import type { Attorn } from '../support/attorn.ts';
import { expect, test } from '../support/attorn.ts';
import { agreeAs } from '../support/journeys.ts';

test.use({ demo: { name: 'connecting' } });

const SCOPES = 'create:me:connected_accounts read:me:connected_accounts delete:me:connected_accounts';

interface Asked {
  auth_session: string;
  connect_uri: string;
  connect_params: { ticket: string };
}

/** The example agent's token for the person's connected accounts. */
async function token(request: APIRequestContext, attorn: Attorn): Promise<string> {
  const answer = await request.post(`${attorn.url}/oauth/token`, {
    form: {
      grant_type: 'refresh_token',
      client_id: attorn.env['ATTORN_CLIENT_ID'] ?? '',
      client_secret: attorn.env['ATTORN_CLIENT_SECRET'] ?? '',
      refresh_token: attorn.env['ATTORN_REFRESH_TOKEN'] ?? '',
      audience: `${attorn.url}/me/`,
      scope: SCOPES,
    },
  });
  expect(answer.status(), await answer.text()).toBe(200);
  return ((await answer.json()) as { access_token: string }).access_token;
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with scripts' : 'without scripts', () => {
    test.use({ javaScriptEnabled });

    test('a client asks for an account, its person links it on the ticket’s page, and the client completes', async ({
      page,
      attorn,
      request,
    }) => {
      const redirect = new URL(attorn.env['ATTORN_REDIRECT_URI'] ?? '');
      const client = createServer((_, answer) => answer.end('Back at the client'));
      client.listen(Number(redirect.port), redirect.hostname);
      await once(client, 'listening');
      try {
        const headers = { authorization: `Bearer ${await token(request, attorn)}` };
        const base = `${attorn.url}/me/v1/connected-accounts`;
        const ask = async (): Promise<Asked> => {
          const answer = await request.post(`${base}/connect`, {
            headers,
            data: { connection: 'sign-in-with-slack', redirect_uri: redirect.href, state: 's1' },
          });
          expect(answer.status(), await answer.text()).toBe(201);
          return (await answer.json()) as Asked;
        };
        const complete = async (asked: Asked): Promise<{ id: string }> => {
          await expect(page.getByText('Back at the client')).toBeVisible();
          const url = new URL(page.url());
          expect(url.searchParams.get('state')).toBe('s1');
          const answer = await request.post(`${base}/complete`, {
            headers,
            data: {
              auth_session: asked.auth_session,
              connect_code: url.searchParams.get('connect_code'),
              redirect_uri: redirect.href,
            },
          });
          expect(answer.status(), await answer.text()).toBe(201);
          return (await answer.json()) as { id: string };
        };

        // Signed out: the sign-in leads back to the ticket's page.
        const first = await ask();
        await page.goto(`${first.connect_uri}?ticket=${first.connect_params.ticket}`);
        await page.getByLabel('Email').fill(attorn.user.email);
        await page.getByLabel('Password').fill(attorn.user.password);
        await page.getByRole('button', { name: 'Sign in' }).click();
        await expect(page.getByRole('heading', { level: 1 })).toHaveText('Example agent asks for your Slack account');
        await expect(page.getByText('can do everything these scopes allow')).toBeVisible();
        await page.getByRole('button', { name: 'Go to Slack' }).click();
        await agreeAs(page, attorn.user.email);
        const account = await complete(first);

        // Linked already: only the permission is asked for.
        const second = await ask();
        await page.goto(`${second.connect_uri}?ticket=${second.connect_params.ticket}`);
        await expect(page.getByRole('radio').first()).toBeChecked();
        await page.getByRole('button', { name: 'Allow' }).click();
        expect((await complete(second)).id).toBe(account.id);

        // A ticket works once, and a refusal is told to the client.
        await page.goto(`${second.connect_uri}?ticket=${second.connect_params.ticket}`);
        await expect(page.getByRole('heading', { level: 1 })).toHaveText('This link is no longer good');
        const third = await ask();
        await page.goto(`${third.connect_uri}?ticket=${third.connect_params.ticket}`);
        await page.getByRole('button', { name: 'Cancel' }).click();
        await expect(page.getByText('Back at the client')).toBeVisible();
        expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied');

        const gone = await request.delete(`${base}/accounts/${account.id}`, { headers });
        expect(gone.status()).toBe(204);
      } finally {
        client.close();
        client.closeAllConnections();
      }
    });
  });
}
