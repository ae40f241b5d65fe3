/** Policies: an admin asks for more, and people and agents meet it. */
import { expect, test } from '../support/attorn.ts';
import { allowAgent, ask, expectRun, signIn } from '../support/journeys.ts';
import { expectAccessible, expectNoSidewaysScroll, screenshot } from '../support/looks.ts';

test.use({ demo: { name: 'policies', link: ['slack'] } });

test('an admin asks for the number that the agent shows, and for approvals of reading', async ({ page, attorn }) => {
  test.setTimeout(180_000);
  const look = async (name: string): Promise<void> => {
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await screenshot(page, name);
  };
  await signIn(page, attorn.admin);
  await page.goto('/admin/policies');
  await expect(page.getByText('No policy is set up')).toBeVisible();
  const approving = page.locator('form[action="/admin/policies/approving"]');
  await approving.getByLabel('Name').fill('Posts by number');
  await approving.getByLabel('Type of request').selectOption('slack_message');
  await approving.getByRole('button', { name: 'Try on the past' }).click();
  await expect(page.getByText('The policy asks for nothing yet.')).toBeVisible();
  await look('policies-wrong');
  await approving.getByLabel('The number that the agent shows').check();
  await approving.getByRole('button', { name: 'Try on the past' }).click();
  await expect(page.getByText('Nothing was asked or called yet to try it on.')).toBeVisible();
  await approving.getByRole('button', { name: 'Add a policy' }).click();
  await expect(page.getByRole('heading', { name: 'Posts by number' })).toBeVisible();
  const calling = page.locator('form[action="/admin/policies/calling"]');
  await calling.getByLabel('Name').fill('Ask before reading channels');
  await calling.getByLabel('Connection').selectOption('sign-in-with-slack');
  await calling.getByLabel('Path').fill('/conversations.list');
  await calling.getByRole('button', { name: 'Add a policy' }).click();
  await expect(page.getByRole('heading', { name: 'Ask before reading channels' })).toBeVisible();
  await look('policies');
  await page.context().clearCookies();

  await signIn(page, attorn.user);
  await ask(page, 'list my Slack channels');
  await allowAgent(page);
  await expectRun(page, 'Waiting for your decision');
  await page.getByRole('link', { name: 'Review and decide' }).click();
  await page.getByRole('button', { name: 'Approve' }).click();
  await page.getByRole('link', { name: 'Back to the agent' }).click();
  await expectRun(page, 'Done');

  await ask(page, 'post "release 2.1 is out" to #general');
  await expectRun(page, 'Waiting for your decision');
  const shown = await page.getByText(/Type the number \d\d there/).textContent();
  const number = /number (\d\d)/.exec(shown ?? '')?.[1] ?? '';
  await page.getByRole('link', { name: 'Review and decide' }).click();
  await expect(page.getByText('Posts by number')).toBeVisible();
  await look('approve-number');
  await page.getByLabel('Number your agent shows').fill(number === '00' ? '01' : '00');
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText('That is not the number your agent shows. Nothing was approved.')).toBeVisible();
  await look('approve-number-wrong');
  await page.getByLabel('Number your agent shows').fill(number);
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText(/It was sent once/)).toBeVisible();
  await page.getByRole('link', { name: 'Back to the agent' }).click();
  await expectRun(page, 'Done');
});

test('two people approve what a policy leaves to both', async ({ page, attorn }) => {
  test.setTimeout(180_000);
  const look = async (name: string): Promise<void> => {
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await screenshot(page, name);
  };
  const signedIn = async (person: typeof attorn.user): Promise<void> => {
    await page.context().clearCookies();
    await signIn(page, person);
  };
  await signedIn(attorn.admin);
  await page.goto('/admin/policies');
  const approving = page.locator('form[action="/admin/policies/approving"]');
  await approving.getByLabel('Name').fill('Two pairs of eyes');
  await approving.getByLabel('Type of request').selectOption('deployment');
  await approving.getByLabel('Who approves instead').fill(`${attorn.user.email}\n${attorn.admin.email}`);
  await approving.getByLabel('How many of them must').fill('2');
  await approving.getByRole('button', { name: 'Add a policy' }).click();
  await expect(page.getByRole('heading', { name: 'Two pairs of eyes' })).toBeVisible();
  await look('policies-approvers');

  await signedIn(attorn.user);
  await page.goto('/agent');
  await page.getByLabel('What should the agent do?').fill('deploy billing 2.1');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page).toHaveURL(/\/agent\/runs\/run_/);
  await expectRun(page, 'Waiting for your decision');
  const run = page.url();
  await page.getByRole('link', { name: 'Review and decide' }).click();
  await expect(page.getByText('0 of 2 so far')).toBeVisible();
  await look('approve-of-two');
  const decision = page.url();
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText(/You approved this\. It waits for the others/)).toBeVisible();
  await look('approve-waits-for-others');

  await signedIn(attorn.admin);
  await page.goto('/approvals');
  await expect(page.locator(`a[href="${new URL(decision).pathname}"]`).first()).toBeVisible();
  await page.goto(decision);
  await expect(page.getByText('1 of 2 so far')).toBeVisible();
  await look('approve-for-another');
  await page.getByRole('button', { name: 'Approve' }).click();
  await expect(page.getByText('You approved')).toBeVisible();

  await signedIn(attorn.user);
  await page.goto(run);
  await expectRun(page, 'Done');
});
