/** Every page, in both themes, wide and on a phone: usable by everybody, nothing sticking out. */
import type { Page } from '@playwright/test';
import { expect, test } from '../support/attorn.ts';
import { allowAgent, ask, askAsDevice, expectRun, signIn } from '../support/journeys.ts';
import { expectAccessible, expectNoSidewaysScroll, screenshot } from '../support/looks.ts';

test.use({ demo: { name: 'looks', link: ['slack', 'salesforce'] } });

async function look(page: Page, name: string): Promise<void> {
  await test.step(name, async () => {
    await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await screenshot(page, name);
  });
}

test('every page of a person looks right', async ({ page, attorn, request }) => {
  test.setTimeout(300_000);
  await signIn(page, attorn.user);

  await ask(page, 'list my Slack channels');
  await page.getByRole('link', { name: 'Allow the agent' }).click();
  await look(page, 'consent');
  await page.goBack();
  await allowAgent(page);
  await expectRun(page, 'Done');
  await look(page, 'run-done');

  await ask(page, 'what is on my calendar today');
  await expectRun(page, 'Waiting for you');
  await look(page, 'run-waiting');

  await ask(page, 'post "release 2.1 is out" to #general');
  await expectRun(page, 'Waiting for your decision');
  for (const [name, path] of [
    ['overview', '/'],
    ['agent', '/agent'],
    ['accounts', '/accounts'],
    ['link', '/accounts/link/google-oauth2'],
    ['approvals', '/approvals'],
    ['activity', '/activity'],
    ['settings', '/settings'],
    ['device', '/device'],
    ['device-question', (await askAsDevice(request, attorn.url)).verification_uri_complete],
    ['device-unknown', '/device?user_code=BBBB-BBBB'],
    ['device-allowed', '/device?done=allowed'],
    ['not-found', '/nothing-here'],
    ['admins-only', '/admin/audit'],
    ['authorize-refused', '/authorize?client_id=nobody&response_type=code'],
  ] as const) {
    await page.goto(path);
    await look(page, name);
  }

  await page.goto('/accounts');
  await page.getByRole('link', { name: /^Manage/ }).first().click();
  await expect(page).toHaveURL(/\/accounts\/acc_/);
  await look(page, 'account');

  await page.goto('/approvals');
  await page.locator('[data-list=pending]').getByRole('link').click();
  await expect(page.getByRole('button', { name: 'Approve' })).toBeVisible();
  await look(page, 'approve');
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText(/It was sent once/)).toBeVisible();
  await look(page, 'approved');
});

test('every page of an admin looks right', async ({ page, attorn }) => {
  test.setTimeout(120_000);
  await signIn(page, attorn.admin);
  for (const name of ['people', 'clients', 'connections', 'policies', 'audit']) {
    await page.goto(`/admin/${name}`);
    await look(page, `admin-${name}`);
  }
});
