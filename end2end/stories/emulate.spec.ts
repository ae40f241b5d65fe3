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
