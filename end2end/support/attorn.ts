/**
 * `test` with a running Attorn.
 *
 * Each worker starts `attorn demo` in a fresh folder of its own, waits until its
 * env file says that everything answers, and ends it afterwards. A spec file that
 * wants a server of its own names it, at the top of the file:
 *
 *     test.use({ demo: { name: 'linking', link: ['slack'] } });
 *
 * Spec files with the same `demo` share one server, so what one story links or
 * decides the next one sees: give each file its own name.
 */
import { test as base, expect } from '@playwright/test';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { start, stop } from './server.ts';
import type { Attorn, Demo } from './server.ts';

export { expect };
export { binary, freePort, output, parseEnv, repository, siteRoot, stop } from './server.ts';
export type { Attorn, Demo, Person } from './server.ts';

export interface Options {
  demo: Demo;
}

interface Workers extends Options {
  attorn: Attorn;
}

export const test = base.extend<object, Workers>({
  demo: [{ name: 'attorn' }, { option: true, scope: 'worker' }],

  attorn: [
    async ({ demo }, use) => {
      const folder = mkdtempSync(join(tmpdir(), 'attorn-end2end-'));
      try {
        const { attorn, server } = await start(demo, folder);
        try {
          await use(attorn);
        } finally {
          await stop(server, `the demo ${demo.name}`);
        }
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    { scope: 'worker', timeout: 60_000 },
  ],

  baseURL: async ({ attorn }, use) => {
    await use(attorn.url);
  },

  ignoreHTTPSErrors: async ({ demo }, use) => {
    // The demo's own authority is known to nobody.
    await use(demo.tls === true);
  },
});
