/** A demo of a test file's own. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { Attorn, Demo } from '../../support/server.ts';
import { start, stop } from '../../support/server.ts';

export type { Attorn } from '../../support/server.ts';

/**
 * Starts the demo before the tests of this file and ends it after them. What it
 * gives is filled in when the first test runs. With `tls` this process trusts the
 * demo's own authority from then on, as a client's operator would have it.
 */
export function demo(options: Demo): Attorn {
  const attorn = {} as Attorn;
  let end: () => Promise<void> = async () => {};
  before(async () => {
    const folder = mkdtempSync(join(tmpdir(), 'attorn-clients-'));
    try {
      const started = await start(options, folder);
      end = async () => {
        await stop(started.server, `the demo ${options.name}`);
        rmSync(folder, { recursive: true, force: true });
      };
      Object.assign(attorn, started.attorn);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
    const authority = attorn.env['ATTORN_CA_FILE'];
    if (authority) {
      setDefaultCACertificates([...getCACertificates('default'), readFileSync(authority, 'utf8')]);
    }
  });
  after(async () => end());
  return attorn;
}

/** A line of the env file that must be there. */
export function env(attorn: Attorn, name: string): string {
  const value = attorn.env[name];
  if (!value) throw new Error(`the demo's env file has no ${name}`);
  return value;
}

/** Decides as the person on the approval with this message, once there is one. */
export async function decide(attorn: Attorn, message: string, type: 'allow' | 'deny'): Promise<void> {
  const query = new URLSearchParams({ binding_message: message, type });
  for (;;) {
    const answer = await fetch(`${env(attorn, 'ATTORN_DECIDE_URL')}?${query}`, { method: 'POST' });
    if (answer.ok) return;
    if (answer.status !== 404) throw new Error(`the decision was answered ${answer.status}: ${await answer.text()}`);
    await setTimeout(50);
  }
}
