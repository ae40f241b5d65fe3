import { expect, test } from '../support/attorn.ts';
import { signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'auditing', link: ['slack'] } });

test('an admin sees what happened, finds one kind of it and takes it along', async ({ page, attorn }) => {
  await signIn(page, attorn.admin);
  await page.getByRole('link', { name: 'Audit' }).first().click();
  await expect(page.getByRole('heading', { level: 1, name: 'Audit' })).toBeVisible();
  await expect(page.getByRole('row').filter({ hasText: 'session.signed_in' }).first()).toBeVisible();

  await page.getByLabel('Kind').selectOption('account.linked');
  await page.getByRole('button', { name: 'Filter' }).click();
  await expect(page).toHaveURL(/kind=account\.linked/);
  await expect(page.getByRole('cell').getByText('account.linked', { exact: true })).toHaveCount(1);

  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Export' }).click();
  expect((await download).suggestedFilename()).toBe('attorn-audit.jsonl');
});

test('a person who is no admin does not see the log', async ({ page, attorn }) => {
  await signIn(page, attorn.user);
  await expect(page.getByRole('link', { name: 'Audit' })).toHaveCount(0);
  const answer = await page.goto('/admin/audit');
  expect(answer?.status()).toBe(403);
  await expect(page.getByText('This page is for admins')).toBeVisible();
});
