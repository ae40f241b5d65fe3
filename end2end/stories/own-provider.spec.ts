/** An admin adds a provider that the catalogue does not have, and takes it out again. */
import type { Page } from '@playwright/test';
import { expect, test } from '../support/attorn.ts';
import { signIn } from '../support/journeys.ts';
import { expectAccessible, expectNoSidewaysScroll, screenshot } from '../support/looks.ts';

test.use({ demo: { name: 'own-provider' } });

const entry = {
  'Provider name': 'Acme Projects',
  'Provider id': 'acme-projects',
  'API address': 'https://api.acme.example/v1',
  'Authorization address': 'https://acme.example/authorize',
  'Token address': 'https://acme.example/token',
  'Identity address': 'https://api.acme.example/v1/me',
  'Who it is': '/id',
  'What people know the account by': '/email',
  'Documentation page': 'https://docs.acme.example/oauth',
  'Scopes to ask for': 'projects.read See your projects\nprojects.write Change your projects',
};

async function look(page: Page, name: string): Promise<void> {
  await test.step(name, async () => {
    await expectAccessible(page);
    await expectNoSidewaysScroll(page);
    await screenshot(page, name);
  });
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? 'with scripts' : 'without scripts', () => {
    test.use({ javaScriptEnabled });

    test('a provider of one’s own is described, put right, used for a connection and removed', async ({
      page,
      attorn,
    }) => {
      test.setTimeout(180_000);
      await signIn(page, attorn.admin);
      await page.goto('/admin/connections');
      const form = page.locator('#add-provider');
      for (const [label, value] of Object.entries(entry)) {
        await form.getByLabel(label, { exact: true }).fill(value);
      }
      await form.getByLabel('What a refresh does').selectOption('rotates');

      // One thing is wrong: it is said where it is wrong, there the page is again, and what was typed stays.
      const token = form.getByLabel('Token address', { exact: true });
      await token.fill('acme.example/token');
      await form.getByRole('button', { name: 'Add the provider' }).click();
      await expect(token).toHaveAttribute('aria-invalid', 'true');
      await expect(form).toBeInViewport();
      await expect(form.getByText('Give an address that begins with https://.')).toBeVisible();
      await expect(form.getByLabel('Provider name', { exact: true })).toHaveValue(entry['Provider name']);
      await expect(form.getByLabel('Scopes to ask for')).toHaveValue(entry['Scopes to ask for']);
      await expect(form.getByLabel('What a refresh does')).toHaveValue('rotates');
      // The look is the same with scripts and without: axe needs them.
      if (javaScriptEnabled) await look(page, 'own-provider-wrong');

      await token.fill(entry['Token address']);
      await form.getByRole('button', { name: 'Add the provider' }).click();
      const added = page.getByRole('article').filter({ hasText: entry['Provider id'] });
      await expect(added.getByRole('heading', { name: entry['Provider name'] })).toBeVisible();
      await expect(added).toContainText('Our client id and secret go to https://acme.example');
      if (javaScriptEnabled) await look(page, 'own-provider-added');

      // It can be chosen like any other.
      const connection = page.locator('#add');
      await connection.getByLabel('Provider', { exact: true }).selectOption({ label: 'Acme Projects (your own)' });

      await added.getByRole('button', { name: 'Remove Acme Projects' }).click();
      await expect(page.getByRole('heading', { name: entry['Provider name'] })).toHaveCount(0);
      await expect(connection.getByRole('option', { name: /Acme Projects/ })).toHaveCount(0);
    });
  });
}
