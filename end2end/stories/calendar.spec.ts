import { expect, test } from '../support/attorn.ts';
import { agreeAs, allowAgent, ask, expectRun, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'calendar' } });

test('a run that lacks an account goes on by itself once Google is linked', async ({ page, attorn }) => {
  await signIn(page, attorn.user);
  await ask(page, 'what is on my calendar today');
  const run = page.url();
  await allowAgent(page);
  await page.getByRole('link', { name: /^Link .*Google/ }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Link Google' })).toBeVisible();
  await expect(page.getByRole('checkbox', { name: /^Let .* call Google for you/ })).toBeChecked();
  await page.getByRole('button', { name: 'Go to Google' }).click();
  await agreeAs(page, attorn.user.email);

  await expect(page).toHaveURL(new RegExp(`^${run}`));
  await expectRun(page, 'Done');
  await expect(page.getByRole('heading', { name: 'Ask Google for your events' })).toBeVisible();
});
