import { expect, test } from '../support/attorn.ts';
import { allowAgent, ask, expectRun, postedMessages, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'deciding', link: ['slack'] } });

test('a message is posted exactly once, and only after the person approved it', async ({
  page,
  attorn,
  request,
}) => {
  await signIn(page, attorn.user);
  await ask(page, 'post "release 2.1 is out" to #general');
  const run = page.url();
  await allowAgent(page);
  await expectRun(page, 'Waiting for your decision');
  expect(await postedMessages(request, attorn)).toEqual([]);

  await page.goto('/approvals');
  const waiting = page.locator('[data-list=pending]').getByRole('link');
  await expect(waiting).toHaveCount(1);
  await waiting.click();
  await expect(page).toHaveURL(/\/approve\/apr_/);
  await expect(page.getByText('release 2.1 is out')).toBeVisible();
  await expect(page.getByText('#general').first()).toBeVisible();
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByRole('button', { name: 'Approve' })).toHaveCount(0);
  await expect(page.getByRole('status').first()).toContainText('You approved');
  const decision = page.url();
  // The page tells by itself that the call was made; after that it stays as it is.
  await expect(page.getByText(/It was sent once/)).toBeVisible();

  await page.goto(run);
  await expectRun(page, 'Done');
  const posted = await postedMessages(request, attorn);
  expect(posted).toHaveLength(1);
  expect(posted[0]).toMatchObject({
    channel_name: 'general',
    text: 'release 2.1 is out',
    email: attorn.user.email,
  });

  await page.goto(decision);
  await expect(page.getByText(/It was sent once/)).toBeVisible();
  await page.goto('/approvals');
  await expect(page.getByText('Nothing waits for you')).toBeVisible();
  await expect(page.getByText('Approved and sent')).toBeVisible();
});

test('nothing is posted when the person denies, and the run says so', async ({ page, attorn, request }) => {
  await signIn(page, attorn.user);
  const before = await postedMessages(request, attorn);
  await ask(page, 'post "we are closing" to #general');
  const run = page.url();
  // Alone, this story has to allow the agent first; after the other it is allowed already.
  const consent = page.getByRole('link', { name: 'Allow the agent' });
  const decide = page.getByText('Waiting for your decision', { exact: true });
  await expect(consent.or(decide)).toBeVisible();
  if (await consent.isVisible()) await allowAgent(page);
  await expectRun(page, 'Waiting for your decision');

  await page.goto('/approvals');
  await page.locator('[data-list=pending]').getByRole('link').click();
  await page.getByRole('button', { name: 'Deny' }).click();
  await expect(page.getByRole('status').first()).toContainText('You denied');

  await page.goto(run);
  await expectRun(page, 'Denied');
  expect(await postedMessages(request, attorn)).toEqual(before);
});
