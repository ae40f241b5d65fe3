/**
 * `test` with `attorn serve`, configured by a file, whose Slack, Google and GitHub
 * are the npm package `emulate`: pages, field names and token shapes that somebody
 * else wrote.
 *
 * Emulate takes any bearer token, and one that it never issued acts as the first
 * person of the service. So the first one is always a decoy without data, the
 * person who links is the second, and Slack checks scopes, which only a token
 * that it issued has.
 */
import { test as base } from '@playwright/test';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { binary, expect, freePort, output, repository, siteRoot, stop } from './attorn.ts';
import type { Person } from './attorn.ts';

export { expect };

/** Whoever a token acts as that emulate does not know. */
export const decoy = { name: 'nobody', email: 'nobody@example.com' };

/** Whose accounts are linked. */
export const ada = {
  name: 'ada',
  email: 'ada@example.com',
  event: 'Notes on the Analytical Engine',
  channel: 'engines',
  topic: 'Cards and cogwheels',
};

/** `attorn serve` with Slack, Google and GitHub at emulate. */
export interface Emulated {
  /** Where Attorn answers, without a final slash. */
  url: string;
  /** A person without linked accounts. */
  person: Person;
  /** Where emulate's Slack shows its messages, without a final slash. */
  slack: string;
  /** Where emulate's Google answers, without a final slash. */
  google: string;
  /** Where emulate's GitHub answers, without a final slash. */
  github: string;
  /** A client that may be given accounts for calls. */
  agent: Agent;
}

/** A client of Attorn's. */
export interface Agent {
  id: string;
  secret: string;
  redirect: string;
}

/** Emulate's client at Attorn's side, per service. */
interface Client {
  id: string;
  secret: string;
}

export const test = base.extend<object, { emulated: Emulated }>({
  emulated: [
    async ({}, use) => {
      const folder = mkdtempSync(join(tmpdir(), 'attorn-emulate-'));
      const running: [string, ChildProcess][] = [];
      try {
        // Both sides need each other's address before they start.
        const url = `http://localhost:${await freePort()}`;
        const port = await freePorts(3);
        const at = (service: number): string => `http://localhost:${port + service}`;
        const [slack, google, github] = [at(0), at(1), at(2)];
        const clients = {
          slack: { id: '12345.67890', secret: secret() },
          google: { id: 'attorn.apps.googleusercontent.com', secret: secret() },
          github: { id: 'Iv1.attorn', secret: secret() },
        };

        const seed = join(folder, 'emulate.yaml');
        // JSON is YAML.
        writeFileSync(seed, JSON.stringify(seedOf(`${url}/link/callback`, clients)));
        const emulate = resolve(import.meta.dirname, '../node_modules/emulate/dist/index.js');
        const words = ['start', '--service', 'slack,google,github', '--port', String(port), '--seed', seed];
        const provider = launch('emulate', process.execPath, [emulate, ...words], folder);
        running.push(['emulate', provider]);
        const known = [slack, `${google}/.well-known/openid-configuration`, `${github}/users/${ada.name}`];
        await answers('emulate', provider, known);

        const config = join(folder, 'attorn.toml');
        writeFileSync(config, configurationOf(url, folder, { slack, google, github }, clients), { mode: 0o600 });
        const person = { email: ada.email, password: secret() };
        createPerson(config, person);
        const agent = createAgent(config);
        const server = launch('emulate-attorn', binary, ['--config', config, 'serve'], folder);
        running.push(['attorn serve', server]);
        await answers('emulate-attorn', server, [`${url}/readyz`]);

        await use({ url, person, slack, google, github, agent });
      } finally {
        for (const [name, one] of running.reverse()) await stop(one, name);
        rmSync(folder, { recursive: true, force: true });
      }
    },
    { scope: 'worker', timeout: 60_000 },
  ],

  baseURL: async ({ emulated }, use) => {
    await use(emulated.url);
  },
});

function secret(): string {
  return randomBytes(18).toString('base64url');
}

/** Who and what is there when emulate starts. */
function seedOf(redirect: string, clients: { slack: Client; google: Client; github: Client }): object {
  const scopes = ['channels:read', 'channels:history', 'chat:write', 'users:read'];
  // Today and tomorrow, so that midnight may pass between here and the question.
  const events = [0, 1].map((days) => {
    const day = new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10);
    return {
      id: `evt_engine_${days}`,
      user_email: ada.email,
      calendar_id: 'primary',
      summary: ada.event,
      start_date_time: `${day}T09:00:00.000Z`,
      end_date_time: `${day}T09:30:00.000Z`,
    };
  });
  return {
    slack: {
      team: { name: 'Acme', domain: 'acme' },
      users: [
        { name: decoy.name, real_name: 'Nobody', email: decoy.email },
        { name: ada.name, real_name: 'Ada Lovelace', email: ada.email },
      ],
      channels: [{ name: ada.channel, topic: ada.topic }],
      bots: [{ name: 'attorn-bot' }],
      oauth_apps: [
        {
          client_id: clients.slack.id,
          client_secret: clients.slack.secret,
          app_id: 'A000000001',
          name: 'Attorn',
          redirect_uris: [redirect],
          // The bot, whose token comes first in the answer, may do nothing of what is tried.
          scopes: ['reactions:read'],
          user_scopes: scopes,
          bot_name: 'attorn-bot',
        },
      ],
      strict_scopes: true,
    },
    google: {
      users: [
        { email: decoy.email, name: 'Nobody', email_verified: true },
        { email: ada.email, name: 'Ada Lovelace', email_verified: true },
      ],
      oauth_clients: [
        {
          client_id: clients.google.id,
          client_secret: clients.google.secret,
          name: 'Attorn',
          redirect_uris: [redirect],
        },
      ],
      calendars: [
        {
          id: 'primary',
          user_email: ada.email,
          summary: ada.email,
          primary: true,
          selected: true,
          time_zone: 'UTC',
        },
      ],
      calendar_events: events,
    },
    github: {
      users: [
        { login: decoy.name, name: 'Nobody', email: decoy.email },
        { login: ada.name, name: 'Ada Lovelace', email: ada.email },
      ],
      oauth_apps: [
        {
          client_id: clients.github.id,
          client_secret: clients.github.secret,
          name: 'Attorn',
          redirect_uris: [redirect],
        },
      ],
    },
  };
}

/** The file of `attorn serve`: the entries' endpoints moved to emulate. */
function configurationOf(
  url: string,
  folder: string,
  at: { slack: string; google: string; github: string },
  clients: { slack: Client; google: Client; github: Client },
): string {
  // These strings need no escaping that TOML and JSON would do differently.
  const text = JSON.stringify;
  return `
[server]
listen = ${text(`127.0.0.1:${new URL(url).port}`)}
public_url = ${text(`${url}/`)}
site_root = ${text(resolve(repository, siteRoot))}

[database]
url = ${text(`sqlite:${join(folder, 'data/attorn.db')}`)}

[vault]
key_file = ${text(join(folder, 'attorn.key'))}

[[connections]]
id = "sign-in-with-slack"
provider = "slack"
client_id = ${text(clients.slack.id)}
client_secret = ${text(clients.slack.secret)}

[connections.overrides]
authorize = ${text(`${at.slack}/oauth/v2/authorize`)}
token = ${text(`${at.slack}/api/oauth.v2.access`)}
revoke = ${text(`${at.slack}/api/auth.revoke`)}
identity = ${text(`${at.slack}/api/auth.test`)}
api_base = ${text(`${at.slack}/api`)}

[[connections]]
id = "google-oauth2"
provider = "google"
client_id = ${text(clients.google.id)}
client_secret = ${text(clients.google.secret)}

[connections.overrides]
authorize = ${text(`${at.google}/o/oauth2/v2/auth`)}
token = ${text(`${at.google}/oauth2/token`)}
revoke = ${text(`${at.google}/oauth2/revoke`)}
identity = ${text(`${at.google}/oauth2/v2/userinfo`)}
api_base = ${text(at.google)}

[[connections]]
id = "github"
provider = "github"
client_id = ${text(clients.github.id)}
client_secret = ${text(clients.github.secret)}

[connections.overrides]
authorize = ${text(`${at.github}/login/oauth/authorize`)}
token = ${text(`${at.github}/login/oauth/access_token`)}
revoke = ${text(`${at.github}/applications`)}
identity = ${text(`${at.github}/user`)}
api_base = ${text(at.github)}
`;
}

function createPerson(config: string, person: Person): void {
  command(config, ['user', 'create', person.email, '--name', 'Ada Lovelace'], `${person.password}\n`);
}

function createAgent(config: string): Agent {
  // Nothing listens there: the story takes the code from the address.
  const redirect = 'http://localhost:1/callback';
  const said = command(config, ['client', 'create', 'Release bot', '--redirect-uri', redirect, '--access-mode', 'call'], '');
  const value = (name: string): string => new RegExp(`^${name}=(.+)$`, 'm').exec(said)?.[1] ?? '';
  return { id: value('client_id'), secret: value('client_secret'), redirect };
}

/** Runs a command of the program; what it says. */
function command(config: string, words: string[], input: string): string {
  const made = spawnSync(binary, ['--config', config, ...words], { input, encoding: 'utf8', timeout: 30_000 });
  if (made.status !== 0) throw new Error(`attorn ${words[0]}: ${made.error?.message ?? made.stderr}`);
  return made.stdout;
}

/** Starts a program whose words go to `output/logs/NAME.log`. */
function launch(name: string, program: string, words: string[], folder: string): ChildProcess {
  mkdirSync(join(output, 'logs'), { recursive: true });
  const log = openSync(logOf(name), 'w');
  const child = spawn(program, words, { cwd: folder, stdio: ['ignore', log, log] });
  closeSync(log);
  // `answers` sees that it is gone; without a listener the error would end the worker.
  child.on('error', (error) => writeFileSync(logOf(name), `${error.message}\n`, { flag: 'a' }));
  return child;
}

function logOf(name: string): string {
  return join(output, 'logs', `${name}.log`);
}

/** Waits until every address answers 200, or the program is gone. */
async function answers(name: string, child: ChildProcess, addresses: string[]): Promise<void> {
  const isGone = (): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;
  for (const address of addresses) {
    const settled = async (): Promise<boolean> => {
      if (isGone()) return true;
      try {
        return (await fetch(address)).status === 200;
      } catch {
        // Not listening yet.
        return false;
      }
    };
    await expect
      .poll(settled, { message: `${name} answers at ${address}`, timeout: 30_000, intervals: [50] })
      .toBe(true);
    if (isGone()) throw new Error(`${name} ended:\n${readFileSync(logOf(name), 'utf8')}`);
  }
}

/** Emulate puts its services on ports in a row: the first of so many that nobody listens on. */
async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const port = await freePort();
    let free = port + count <= 65_536;
    for (let next = 1; free && next < count; next += 1) free = await isFree(port + next);
    if (free) return port;
  }
  throw new Error('no free ports in a row');
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    // Without a host, as emulate listens.
    server.listen(port);
    await once(server, 'listening');
  } catch {
    return false;
  }
  server.close();
  await once(server, 'close');
  return true;
}
