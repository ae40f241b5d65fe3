import { expect, test } from '../support/attorn.ts';
import { allowAgent, ask, expectRun, signIn } from '../support/journeys.ts';

test.use({ demo: { name: 'asking', link: ['slack'] } });

test('the agent lists Slack channels once it is allowed to', async ({ page, attorn }) => {
  await signIn(page, attorn.user);
  await ask(page, 'list my Slack channels');
  await allowAgent(page);
  await expectRun(page, 'Done');
  await expect(page.getByRole('heading', { name: 'Ask Slack for its channels' })).toBeVisible();
  await expect(page.getByRole('cell', { name: 'general' })).toBeVisible();

  // Allowed once, it need not ask again.
  await ask(page, 'list my Slack channels');
  await expectRun(page, 'Done');
});

test('a sentence the agent has no rule for is refused with examples', async ({ page, attorn }) => {
  await signIn(page, attorn.user);
  await page.goto('/agent');
  // Live: its script has taken over the form.
  await expect(page.getByText('Live', { exact: true }).first()).toBeVisible();
  await page.getByLabel('What should the agent do?').fill('make me a sandwich');
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.getByText(/works by a small set of rules/)).toBeVisible();
  await expect(page.getByLabel('What should the agent do?')).toHaveValue('make me a sandwich');
});
