import { expect, test } from '../support/attorn.ts';
import { agreeAs, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'linking' } });

test('a wrong password is refused and the address is kept', async ({ page, attorn }) => {
  await page.goto('/sign-in');
  await page.getByLabel('Email').fill(attorn.user.email);
  await page.getByLabel('Password').fill('not the password');
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByLabel('Email')).toHaveValue(attorn.user.email);
  await expect(page.getByLabel('Password')).toHaveValue('');
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible();
});

test('whoever refuses at the provider has nothing linked', async ({ page, attorn }) => {
  await signIn(page, attorn.user);
  await page.goto('/accounts/link/sign-in-with-slack');
  await page.getByRole('button', { name: 'Go to Slack' }).click();
  await page.getByRole('button', { name: 'Deny' }).click();
  await expect(page.getByText('Slack was not linked')).toBeVisible();
  await expect(page.getByText('No account is linked yet')).toBeVisible();
});

test('a person signs in, links Slack at its consent page, sees the account and unlinks it', async ({
  page,
  attorn,
}) => {
  await signIn(page, attorn.user);
  await page.getByRole('link', { name: 'Accounts' }).first().click();
  await expect(page.getByText('No account is linked yet')).toBeVisible();
  await page.getByRole('link', { name: 'Link Slack' }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Link Slack' })).toBeVisible();
  await page.getByRole('button', { name: 'Go to Slack' }).click();
  await expect(page.getByRole('heading', { name: 'Attorn asks for access to Slack' })).toBeVisible();
  await agreeAs(page, attorn.user.email);

  await expect(page).toHaveURL(/\/accounts\?linked=acc_/);
  await expect(page.getByText('Slack is linked')).toBeVisible();
  const account = page.locator('[data-account]');
  await expect(account).toHaveCount(1);
  await expect(account).toContainText('Linked');
  await expect(account).toContainText('Post messages as you');

  await account.getByRole('link', { name: /^Manage/ }).click();
  await expect(page).toHaveURL(/\/accounts\/acc_/);
  await page.getByRole('button', { name: /^Unlink/ }).click();
  await expect(page.getByText('Account unlinked')).toBeVisible();
});
