import { expect, test } from '../support/attorn.ts';
import { agreeAs, allowAgent, ask, postedMessages, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'without-javascript' }, javaScriptEnabled: false });

test('linking, asking and deciding work without JavaScript', async ({ page, attorn, request }) => {
  await signIn(page, attorn.user);

  await page.goto('/accounts');
  await page.getByRole('link', { name: 'Link Slack' }).click();
  await page.getByRole('button', { name: 'Go to Slack' }).click();
  await agreeAs(page, attorn.user.email);
  await expect(page.getByText('Slack is linked')).toBeVisible();
  await expect(page.locator('[data-account]')).toHaveCount(1);

  await ask(page, 'post "release 2.1 is out" to #general');
  const run = page.url();
  // The page shows how it stood when it was loaded: whoever has no script reloads.
  const shows = (words: string): Promise<void> =>
    expect(async () => {
      await page.goto(run);
      await expect(page.getByText(words, { exact: true }).first()).toBeVisible({ timeout: 500 });
    }).toPass({ timeout: 20_000 });
  await shows('Allow the agent');
  await allowAgent(page);
  await shows('Waiting for your decision');

  await page.goto('/approvals');
  await page.locator('[data-list=pending]').getByRole('link').click();
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByRole('status').first()).toContainText('You approved');
  await shows('Done');
  expect(await postedMessages(request, attorn)).toHaveLength(1);

  await ask(page, 'post "we are closing" to #general');
  await page.goto('/approvals');
  const waiting = page.locator('[data-list=pending]').getByRole('link');
  await expect(async () => {
    await page.reload();
    await expect(waiting).toHaveCount(1, { timeout: 500 });
  }).toPass({ timeout: 20_000 });
  await waiting.click();
  await page.getByRole('button', { name: 'Deny' }).click();
  await expect(page.getByRole('status').first()).toContainText('You denied');
  expect(await postedMessages(request, attorn)).toHaveLength(1);

  await page.goto('/settings');
  await page.getByRole('main').getByRole('button', { name: 'Sign out' }).click();
  await page.goto('/accounts');
  await expect(page.getByLabel('Password')).toBeVisible();
});
