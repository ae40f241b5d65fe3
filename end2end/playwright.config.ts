import { defineConfig } from '@playwright/test';
import type { Options } from './support/attorn.ts';

// Chromium's sandbox does not work for root, which is what containers run as.
const isRoot = process.getuid?.() === 0;

export default defineConfig<Options>({
  testDir: './stories',
  outputDir: './output/results',
  // Each story has a server of its own; on a small machine two at once only slow each other.
  workers: 1,
  fullyParallel: false,
  // A story that passes on the second try has a defect: it or the product.
  retries: 0,
  forbidOnly: Boolean(process.env['CI']),
  timeout: 60_000,
  expect: { timeout: 10_000 },
  reporter: [['list'], ['./support/closing-line.ts']],
  use: {
    locale: 'en-GB',
    timezoneId: 'UTC',
    contextOptions: { reducedMotion: 'reduce' },
    trace: 'retain-on-failure',
    screenshot: 'only-on-failure',
    launchOptions: {
      executablePath: process.env['ATTORN_CHROMIUM'] ?? '/usr/bin/chromium',
      chromiumSandbox: !isRoot,
      // Nothing here may talk to the outside, nor try and wait for it.
      args: [
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
