/** A device is set up; from then on it is what says yes. */
import type { Page } from '@playwright/test';
import { expect, test } from '../support/attorn.ts';
import { delivery, pushService, reader, setUpDevice, shownNotices } from '../support/devices.ts';
import { allowAgent, ask, expectRun, postedMessages, signIn } from '../support/journeys.ts';
import { expectAccessible, expectNoSidewaysScroll, screenshot } from '../support/looks.ts';

test.use({ demo: { name: 'trusted-device', link: ['slack'] } });
test.describe.configure({ mode: 'serial' });

async function look(page: Page, name: string): Promise<void> {
  await expectAccessible(page);
  await expectNoSidewaysScroll(page);
  await screenshot(page, name);
}

/** The agent asks to post; the decision page is open. */
async function asked(page: Page, text: string): Promise<string> {
  await ask(page, `post "${text}" to #general`);
  const run = page.url();
  const consent = page.getByRole('link', { name: 'Allow the agent' });
  const decide = page.getByText('Waiting for your decision', { exact: true });
  await expect(consent.or(decide)).toBeVisible();
  if (await consent.isVisible()) await allowAgent(page);
  await expectRun(page, 'Waiting for your decision');
  await page.goto('/approvals');
  await page.locator('[data-list=pending]').getByRole('link').click();
  await expect(page).toHaveURL(/\/approve\/apr_/);
  await expect(page.getByText(text)).toBeVisible();
  return run;
}

const approve = (page: Page) => page.getByRole('button', { name: 'Approve' });
const deny = (page: Page) => page.getByRole('button', { name: 'Deny' });
const verdict = (page: Page) => page.getByRole('status').first();

test('what is approved with a device is done once, and nothing without it', async ({
  page,
  browser,
  attorn,
  request,
}) => {
  test.setTimeout(240_000);
  const finger = await reader(page);
  await page.goto('/sign-in');
  await expect(page.getByRole('button', { name: 'Continue with your device' })).toBeVisible();
  await look(page, 'sign-in-device');
  await signIn(page, attorn.user);
  await page.goto('/devices');
  await expect(page.getByText('No device is set up yet')).toBeVisible();
  await look(page, 'devices-none');
  const codes = await setUpDevice(page, 'My phone');
  expect(codes).toHaveLength(10);
  await look(page, 'devices-codes');
  await page.goto('/devices');
  await look(page, 'devices');

  const run = await asked(page, 'release 2.2 is out');
  await expect(approve(page)).toBeEnabled();
  await look(page, 'approve-device');

  await test.step('somebody else holds the device', async () => {
    await finger.recognises(false);
    await approve(page).click();
    await expect(page.getByRole('alert')).toContainText('did not confirm that it was you');
    await look(page, 'approve-not-confirmed');
    expect(await postedMessages(request, attorn)).toHaveLength(0);
    await finger.recognises(true);
  });

  await test.step('without JavaScript only Deny is possible, and the page says so', async () => {
    const plain = await browser.newContext({ baseURL: attorn.url, javaScriptEnabled: false });
    const other = await plain.newPage();
    await signIn(other, attorn.user);
    await other.goto(page.url());
    await expect(approve(other)).toBeDisabled();
    // Playwright reads no text in there, but sees that it is shown.
    await expect(other.locator('noscript p')).toBeVisible();
    expect(await other.content()).toContain('Without it you can deny.');
    await expect(deny(other)).toBeEnabled();
    // A hand-made post with the password's session alone.
    const answer = await other.request.post(page.url(), { form: { decision: 'approve' } });
    expect(answer.status()).toBe(403);
    await plain.close();
  });

  await approve(page).click();
  await expect(verdict(page)).toContainText('You approved');
  await page.goto(run);
  await expectRun(page, 'Done');
  expect(await postedMessages(request, attorn)).toMatchObject([{ text: 'release 2.2 is out' }]);

  await test.step('denied', async () => {
    const run = await asked(page, 'we are closing');
    await deny(page).click();
    await expect(verdict(page)).toContainText('You denied');
    await page.goto(run);
    await expectRun(page, 'Denied');
  });

  await test.step('decided in two places at once', async () => {
    await asked(page, 'twice');
    const other = await page.context().newPage();
    await other.goto(page.url());
    await expect(deny(other)).toBeVisible();
    await Promise.all([approve(page).click(), deny(other).click()]);
    const decided = /You (approved|denied)/;
    await expect(verdict(page).or(page.getByRole('alert')).first()).toBeVisible();
    await page.goto(page.url());
    await other.goto(page.url());
    await expect(verdict(page)).toContainText(decided);
    const which = decided.exec((await verdict(page).textContent()) ?? '')?.[1];
    await expect(verdict(other)).toContainText(`You ${which}`);
    await other.close();
    const posted = which === 'approved' ? 2 : 1;
    await expect.poll(async () => (await postedMessages(request, attorn)).length).toBe(posted);
  });

  await test.step('signed in with the device', async () => {
    await page.goto('/settings');
    await page.getByRole('main').getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Continue with your device' }).click();
    await expect(page.getByRole('heading', { level: 1, name: /^Hello/ })).toBeVisible();
  });

  await test.step('the device is removed', async () => {
    const before = await postedMessages(request, attorn);
    await page.goto('/devices');
    await page.getByRole('button', { name: 'Remove My phone' }).click();
    await expect(page.getByText('The device was removed')).toBeVisible();
    await look(page, 'devices-removed');
    await asked(page, 'after that');
    await expect(approve(page)).toHaveCount(0);
    await expect(page.getByRole('link', { name: 'Set up a device' })).toBeVisible();
    await look(page, 'approve-no-device');
    await deny(page).click();
    await expect(verdict(page)).toContainText('You denied');
    expect(await postedMessages(request, attorn)).toEqual(before);
  });

  await test.step('a recovery code gives a device that counts a day later', async () => {
    await page.goto('/devices');
    await page.getByLabel('Name of this device').fill('New phone');
    await page.getByLabel('Recovery code', { exact: true }).fill(codes[0] ?? '');
    await page.getByRole('button', { name: 'Set up this device' }).click();
    await expect(page.getByText('New phone is set up.')).toBeVisible();
    await expect(page.getByText('On hold')).toBeVisible();
    await look(page, 'devices-on-hold');
    await asked(page, 'not yet');
    await expect(approve(page)).toHaveCount(0);
    await expect(page.getByText('Yours came from a recovery code')).toBeVisible();
    await deny(page).click();
  });
});

test('a request is pushed, shown by the worker, and taken back once it is decided', async ({ page, attorn }) => {
  test.setTimeout(120_000);
  await page.context().grantPermissions(['notifications'], { origin: attorn.url });
  const service = await pushService(page.context());
  try {
    await signIn(page, attorn.user);
    await page.goto('/devices');
    await page.getByLabel('Name of this browser').fill('Laptop');
    await page.getByRole('button', { name: 'Turn on in this browser' }).click();
    await expect(page.getByText('This browser is now told')).toBeVisible();
    await look(page, 'devices-notices');
    const deliver = await delivery(page, `${attorn.url}/`);

    await asked(page, 'pushed');
    const path = new URL(page.url()).pathname;
    await expect.poll(() => service.messages.length).toBe(1);
    const [first] = service.messages;
    if (!first) throw new Error('no message');
    expect(first.notice).toMatchObject({ kind: 'asked', body: 'Post a message to Slack' });
    expect(`/approve/${first.notice.approval}`).toBe(path);
    expect(first.headers).toMatchObject({ urgency: 'high', 'content-encoding': 'aes128gcm' });
    expect(Number(first.headers['ttl'])).toBeGreaterThan(0);
    // Nothing that was pushed is a credential, or tells more than what and who.
    expect(first.text).not.toContain('pushed');
    await deliver(first.text);
    await expect
      .poll(() => shownNotices(page))
      .toEqual([{ title: first.notice.title, body: 'Post a message to Slack', url: path }]);

    await deny(page).click();
    await expect(verdict(page)).toContainText('You denied');
    // The page that shows the end takes the notice away …
    await expect.poll(() => shownNotices(page)).toEqual([]);
    await expect.poll(() => service.messages.length).toBe(2);
    const second = service.messages[1];
    expect(second?.notice).toMatchObject({ kind: 'ended', approval: first.notice.approval });
    expect(second?.headers['topic']).toBe(first.headers['topic']);
    // … and where no page is awake, the worker shows that it is over.
    await deliver(second?.text ?? '');
    await expect.poll(() => shownNotices(page)).toMatchObject([{ title: 'Already denied', url: path }]);

    await page.goto('/devices');
    await page.getByRole('button', { name: 'Turn off Laptop' }).click();
    await expect(page.getByText('That browser is told no more.')).toBeVisible();
  } finally {
    await service.close();
  }
});

test('without a connection the app says so', async ({ page, attorn }) => {
  await signIn(page, attorn.admin);
  await page.evaluate(async () => navigator.serviceWorker.ready);
  const manifest = await page.request.get('/manifest.webmanifest');
  expect(manifest.headers()['content-type']).toContain('application/manifest+json');
  await page.reload();
  await page.context().setOffline(true);
  await page.goto('/approvals').catch(() => null);
  await expect(page.getByRole('heading', { level: 1, name: 'You are offline' })).toBeVisible();
  await screenshot(page, 'offline');
  await page.context().setOffline(false);
});
