import { expect, test } from '../support/attorn.ts';
import { allowAgent, ask, expectRun, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'live', link: ['slack'] } });

test('an approval comes and goes in every open window without a reload', async ({ page, attorn, browser, context }) => {
  await signIn(page, attorn.user);
  const overview = await context.newPage();
  await overview.goto('/');
  await expect(overview.getByRole('heading', { level: 1, name: /^Hello/ })).toBeVisible();

  // A browser of its own, as on another machine.
  const elsewhere = await browser.newContext({ baseURL: attorn.url });
  const approvals = await elsewhere.newPage();
  await signIn(approvals, attorn.user);
  await approvals.goto('/approvals');
  await expect(approvals.getByText('Nothing waits for you')).toBeVisible();
  const waiting = approvals.locator('[data-list=pending]').getByRole('link');

  await ask(page, 'post "release 2.1 is out" to #general');
  await allowAgent(page);
  await expectRun(page, 'Waiting for your decision');
  await expect(waiting).toHaveCount(1);
  await expect(overview.getByRole('link', { name: 'Approvals 1' }).first()).toBeVisible();

  await waiting.click();
  await approvals.getByRole('button', { name: 'Deny' }).click();
  await expect(approvals.getByRole('status').first()).toContainText('You denied');
  await expectRun(page, 'Denied');
  await expect(overview.getByRole('link', { name: 'Approvals', exact: true }).first()).toBeVisible();
  await elsewhere.close();
});
