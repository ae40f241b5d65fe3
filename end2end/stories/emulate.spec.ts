import { agreeAs, allowAgent, ask, expectRun, signIn } from '../support/journeys.ts';
import { ada, decoy, expect, test } from '../support/emulate.ts';

test('Slack and Google made by somebody else are linked, read and posted to as the person who agreed', async ({
  page,
  emulated,
}) => {
  await signIn(page, emulated.person);
  for (const [id, name] of [
    ['sign-in-with-slack', 'Slack'],
    ['google-oauth2', 'Google'],
  ] as const) {
    await page.goto(`/accounts/link/${id}`);
    await page.getByRole('button', { name: `Go to ${name}` }).click();
    await expect(page.getByRole('button', { name: decoy.email })).toBeVisible();
    await agreeAs(page, ada.email);
    await expect(page).toHaveURL(/\/accounts\?linked=acc_/);
    await expect(page.getByText(`${name} is linked`)).toBeVisible();
  }
  const accounts = page.locator('[data-account]');
  await expect(accounts).toHaveCount(2);
  await expect(accounts.filter({ hasText: 'Slack' })).toContainText(ada.name);
  await expect(accounts.filter({ hasText: 'Slack' })).toContainText('Acme');
  await expect(accounts.filter({ hasText: 'Google' })).toContainText(ada.email);
  await expect(page.getByText(decoy.name)).toHaveCount(0);

  // With a token that emulate does not know, or the bot's, Slack would say missing_scope.
  await ask(page, 'list my Slack channels');
  await allowAgent(page);
  await expectRun(page, 'Done');
  await expect(page.getByRole('cell', { name: `#${ada.channel}` })).toBeVisible();
  await expect(page.getByRole('cell', { name: ada.topic })).toBeVisible();

  // The decoy's calendar is empty.
  await ask(page, 'what is on my calendar today');
  await allowAgent(page);
  await expectRun(page, 'Done');
  await expect(page.getByRole('cell', { name: ada.event })).toHaveCount(1);
  await expect(page.getByRole('cell', { name: '09:00–09:30' })).toBeVisible();

  const text = 'the engine weaves algebraical patterns';
  await ask(page, `post "${text}" to #${ada.channel}`);
  const run = page.url();
  await expectRun(page, 'Waiting for your decision');
  await page.goto('/approvals');
  await page.locator('[data-list=pending]').getByRole('link').click();
  await expect(page.getByText(text)).toBeVisible();
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByRole('status').first()).toContainText('You approved');
  await expect(page.getByText(/It was sent once/)).toBeVisible();
  await page.goto(run);
  await expectRun(page, 'Done');

  // Emulate's own page has it once, from her.
  await page.goto(emulated.slack);
  await page.getByRole('link', { name: ada.channel }).click();
  const posted = page.getByRole('row').filter({ hasText: text });
  await expect(posted).toHaveCount(1);
  await expect(posted.getByRole('cell', { name: ada.name, exact: true })).toBeVisible();
});

test('GitHub made by somebody else is linked for an agent, which calls it as the person who agreed', async ({
  page,
  emulated,
  request,
}) => {
  const { agent } = emulated;
  await signIn(page, emulated.person);
  await page.goto(`/accounts/link/github?client=${agent.id}`);
  await page.getByRole('button', { name: 'Go to GitHub' }).click();
  await expect(page.getByRole('button', { name: decoy.email })).toBeVisible();
  await agreeAs(page, ada.email);
  await expect(page).toHaveURL(/\/accounts\?linked=acc_/);
  const account = page.locator('[data-account]').filter({ hasText: 'GitHub' });
  await expect(account).toContainText(ada.name);
  await expect(account).toContainText('Release bot');

  // The agent gets a token of hers for the proxy, and no token of GitHub's.
  const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: agent.id,
    redirect_uri: agent.redirect,
    scope: 'openid',
    resource: `${emulated.url}/proxy`,
    code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
    code_challenge_method: 'S256',
  });
  await page.route(`${agent.redirect}?*`, (route) => route.fulfill({ body: 'Back at the agent' }));
  await page.goto(`/authorize?${asked}`);
  await page.getByRole('button', { name: 'Allow' }).click();
  await expect(page.getByText('Back at the agent')).toBeVisible();
  const granted = await request.post(`${emulated.url}/oauth/token`, {
    form: {
      grant_type: 'authorization_code',
      client_id: agent.id,
      client_secret: agent.secret,
      code: new URL(page.url()).searchParams.get('code') ?? '',
      redirect_uri: agent.redirect,
      code_verifier: verifier,
    },
  });
  expect(granted.status(), await granted.text()).toBe(200);
  const { access_token } = (await granted.json()) as { access_token: string };
  const called = await request.get(`${emulated.url}/proxy/github/user`, {
    headers: { authorization: `Bearer ${access_token}` },
  });
  expect(called.status(), await called.text()).toBe(200);
  // Whoever comes with a token that emulate never issued would be the decoy.
  expect(((await called.json()) as { login: string }).login).toBe(ada.name);
});
