/** What a page looks like, and whether everybody can use it. */
import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect } from '@playwright/test';
import { join, resolve } from 'node:path';

const screens = resolve(import.meta.dirname, '../output/screens');
const themes = ['light', 'dark'] as const;
const sizes = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 390, height: 844 },
};

/** Stores the whole page, wide and on a phone, light and dark: `output/screens/NAME-desktop-light.png` … */
export async function screenshot(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  for (const [size, viewport] of Object.entries(sizes)) {
    await page.setViewportSize(viewport);
    for (const theme of themes) {
      await page.emulateMedia({ colorScheme: theme });
      await page.screenshot({
        path: join(screens, `${name}-${size}-${theme}.png`),
        fullPage: true,
        animations: 'disabled',
      });
    }
  }
  await page.emulateMedia({ colorScheme: null });
  if (before) await page.setViewportSize(before);
}

/**
 * WCAG 2.2 AA as far as a program can tell, contrast included, in both themes.
 * It takes no exceptions.
 */
export async function expectAccessible(page: Page): Promise<void> {
  for (const theme of themes) {
    await page.emulateMedia({ colorScheme: theme });
    const { violations } = await new AxeBuilder({ page })
      .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'])
      .analyze();
    const found = violations.map(({ id, help, nodes }) => ({
      id,
      help,
      where: nodes.map((node) => `${node.target.join(' ')}: ${node.failureSummary ?? ''}`),
    }));
    expect(found, `accessibility of ${page.url()}, ${theme}`).toEqual([]);
  }
  await page.emulateMedia({ colorScheme: null });
}

/** Nothing sticks out sideways; at 320 px a page must not need two directions of scrolling. */
export async function expectNoSidewaysScroll(page: Page, width = 320): Promise<void> {
  const before = page.viewportSize();
  await page.setViewportSize({ width, height: 800 });
  const content = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(content, `width of ${page.url()} at ${width} px`).toBeLessThanOrEqual(width);
  if (before) await page.setViewportSize(before);
}
