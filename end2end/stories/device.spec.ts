import { expect, test } from '../support/attorn.ts';
import { askAsDevice, signIn } from '../support/journeys.ts';

for (const [scripts, javaScriptEnabled] of [
  ['with scripts', true],
  ['without scripts', false],
] as const) {
  test.describe(scripts, () => {
    test.use({ javaScriptEnabled });

    test('a person types the code that a device shows, sees who asks, and the device gets its tokens', async ({
      page,
      attorn,
      request,
    }) => {
      const device = await askAsDevice(request, attorn.url);
      await signIn(page, attorn.user);
      await page.goto('/device');
      await page.getByLabel('Code').fill('BBBB-BBBB');
      await page.getByRole('button', { name: 'Continue' }).click();
      await expect(page.getByText('There is no such code')).toBeVisible();
      await expect(page.getByLabel('Code')).toHaveValue('BBBB-BBBB');

      await page.getByLabel('Code').fill(device.user_code.toLowerCase());
      await page.getByRole('button', { name: 'Continue' }).click();
      await expect(page.getByRole('heading', { level: 1 })).toHaveText('Television asks for access');
      await expect(page.getByText(device.user_code)).toBeVisible();
      await expect(page.getByText('Read your email address')).toBeVisible();
      await page.getByRole('button', { name: 'Allow' }).click();
      await expect(page.getByRole('heading', { level: 1 })).toHaveText('Your device is connected');
      expect((await device.poll()).id_token).toBeTruthy();
    });
  });
}

test('whoever opens a device’s link signs in first, and may deny', async ({ page, attorn, request }) => {
  const device = await askAsDevice(request, attorn.url);
  await page.goto(device.verification_uri_complete);
  await page.getByLabel('Email').fill(attorn.user.email);
  await page.getByLabel('Password').fill(attorn.user.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByText(device.user_code)).toBeVisible();
  await page.getByRole('button', { name: 'Deny' }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('You did not allow it');
  expect((await device.poll()).error).toBe('access_denied');
});
