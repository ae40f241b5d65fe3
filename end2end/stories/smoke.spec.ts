import { expect, test } from '../support/attorn.ts';
import { expectAccessible, screenshot } from '../support/looks.ts';

test.use({ demo: { name: 'smoke' } });

test('the server says that it is alive', async ({ request }) => {
  const answer = await request.get('/healthz');
  expect(answer.status()).toBe(200);
});

test('a stranger is asked to sign in', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByRole('heading', { level: 1 })).toBeVisible();
  await expect(page.getByLabel(/password/i)).toBeVisible();
  await expectAccessible(page);
  await screenshot(page, 'sign-in');
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });

  test('a stranger is asked to sign in all the same', async ({ page }) => {
    await page.goto('/');
    await expect(page.getByLabel(/password/i)).toBeVisible();
  });
});
