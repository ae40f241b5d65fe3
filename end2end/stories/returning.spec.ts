import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { expect, test } from '../support/attorn.ts';
import { signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'returning' } });

test('a person comes back to the program that asked, also when signing in is all that is missing', async ({
  page,
  attorn,
}) => {
  const redirect = new URL(attorn.env['ATTORN_REDIRECT_URI'] ?? '');
  const client = createServer((_, answer) => answer.end('Back at the client'));
  client.listen(Number(redirect.port), redirect.hostname);
  await once(client, 'listening');
  try {
    const ask = (state: string): string => {
      const challenge = createHash('sha256').update(randomBytes(32).toString('base64url')).digest('base64url');
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: attorn.env['ATTORN_CLIENT_ID'] ?? '',
        redirect_uri: redirect.href,
        scope: 'openid',
        state,
        code_challenge: challenge,
        code_challenge_method: 'S256',
      });
      return `${attorn.url}/authorize?${query.toString()}`;
    };
    const back = async (state: string): Promise<void> => {
      await expect(page.getByText('Back at the client')).toBeVisible();
      const url = new URL(page.url());
      expect(url.origin).toBe(redirect.origin);
      expect(url.searchParams.get('state')).toBe(state);
      expect(url.searchParams.get('code')).toBeTruthy();
      expect(url.searchParams.get('iss')).toBe(`${attorn.url}/`);
    };

    await signIn(page, attorn.user);
    await page.goto(`${ask('first')}&prompt=consent`);
    await page.getByRole('button', { name: 'Allow' }).click();
    await back('first');

    await page.context().clearCookies();
    await page.goto(ask('second'));
    await page.getByLabel('Email').fill(attorn.user.email);
    await page.getByLabel('Password').fill('not this one');
    await page.getByRole('button', { name: 'Sign in' }).click();
    await expect(page.getByLabel('Password')).toHaveValue('');
    await page.getByLabel('Password').fill(attorn.user.password);
    await page.getByRole('button', { name: 'Sign in' }).click();
    await back('second');
  } finally {
    client.close();
    client.closeAllConnections();
  }
});

test('a link of a program that nobody knows is explained to whoever follows it', async ({ page, attorn }) => {
  const answer = await page.goto(`${attorn.url}/authorize?client_id=nobody&response_type=code`);
  expect(answer?.status()).toBe(400);
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('This request cannot be answered');
  await expect(page.getByText('Nothing was allowed.')).toBeVisible();
});
