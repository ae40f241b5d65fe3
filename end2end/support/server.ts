/**
 * Starting and ending a real Attorn, for every kind of test here: the stories in a
 * browser and the client libraries.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';

/** How a demo is started. */
export interface Demo {
  /** Names the server and its log, `output/logs/NAME.log`. */
  name: string;
  /** Connections that are linked before the story begins: `slack`, `google`, `salesforce`. */
  link?: string[];
  /** Serve https with a certificate of its own. */
  tls?: boolean;
  /** Further arguments of `attorn demo`. */
  arguments?: string[];
  /** Further environment variables. */
  environment?: Record<string, string>;
}

export interface Person {
  email: string;
  password: string;
}

/** A running demo. */
export interface Attorn {
  /** Where it answers, without a final slash. */
  url: string;
  /** The seeded person and the seeded admin. */
  user: Person;
  admin: Person;
  /** Everything the env file says. */
  env: Record<string, string>;
  /** Its data. */
  folder: string;
  /** The file with everything it says. */
  log: string;
}

export const repository = resolve(import.meta.dirname, '../..');
export const output = resolve(import.meta.dirname, '../output');
/** The program under test, and its built client files. */
export const binary = process.env['ATTORN_BINARY'] ?? join(repository, 'target/debug/attorn');
export const siteRoot = process.env['ATTORN_SERVER__SITE_ROOT'] ?? join(repository, 'target/site');

/** Starts the demo with `folder` for what it keeps, and waits until everything answers. */
export async function start(demo: Demo, folder: string): Promise<{ attorn: Attorn; server: ChildProcess }> {
  const envFile = join(folder, 'env');
  const words = ['demo', '--port', String(await freePort())];
  words.push('--data', join(folder, 'data'), '--env-file', envFile);
  if (demo.tls) words.push('--tls');
  if (demo.link?.length) words.push('--link', demo.link.join(','));
  words.push(...(demo.arguments ?? []));

  mkdirSync(join(output, 'logs'), { recursive: true });
  const logFile = join(output, 'logs', `${demo.name}.log`);
  const log = openSync(logFile, 'w');
  const server = spawn(binary, words, {
    cwd: repository,
    stdio: ['ignore', log, log],
    env: {
      ...process.env,
      ATTORN_SERVER__SITE_ROOT: siteRoot,
      ...demo.environment,
    },
  });
  closeSync(log);
  let failure: string | undefined;
  server.on('error', (error) => (failure = error.message));
  server.on('exit', (code, signal) => (failure ??= `it ended with ${code ?? signal}`));

  const written = (): boolean => existsSync(envFile) && readFileSync(envFile, 'utf8').endsWith('\n');
  const until = Date.now() + 30_000;
  while (failure === undefined && !written()) {
    if (Date.now() > until) failure = 'it did not write its env file within 30 s';
    await setTimeout(50);
  }
  if (failure !== undefined) {
    server.kill('SIGKILL');
    throw new Error(`attorn ${words.join(' ')}: ${failure}\n${readFileSync(logFile, 'utf8')}`);
  }

  const env = parseEnv(readFileSync(envFile, 'utf8'));
  const value = (key: string): string => {
    const found = env[key];
    if (!found) throw new Error(`the demo's env file has no ${key}`);
    return found;
  };
  const attorn = {
    url: value('ATTORN_URL').replace(/\/$/, ''),
    user: { email: value('ATTORN_USER_EMAIL'), password: value('ATTORN_USER_PASSWORD') },
    admin: { email: value('ATTORN_ADMIN_EMAIL'), password: value('ATTORN_ADMIN_PASSWORD') },
    env,
    folder,
    log: logFile,
  };
  return { attorn, server };
}

/** Asks it to end, as a service manager would; one that does not is a defect. */
export async function stop(server: ChildProcess, name: string): Promise<void> {
  if (server.exitCode !== null || server.signalCode !== null) return;
  const ended = once(server, 'exit');
  server.kill('SIGTERM');
  const patience = globalThis.setTimeout(() => server.kill('SIGKILL'), 15_000);
  const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  clearTimeout(patience);
  if (signal === 'SIGKILL') throw new Error(`${name} did not end within 15 s of SIGTERM`);
}

/** Reads `KEY=value` lines, the value plain or in a shell's single quotes. */
export function parseEnv(text: string): Record<string, string> {
  const env: Record<string, string> = {};
  for (const line of text.split('\n')) {
    const at = line.indexOf('=');
    if (at <= 0 || line.startsWith('#')) continue;
    const value = line.slice(at + 1);
    const quoted = value.length > 1 && value.startsWith("'") && value.endsWith("'");
    env[line.slice(0, at)] = quoted ? value.slice(1, -1).replaceAll(`'\\''`, "'") : value;
  }
  return env;
}

/** A port nobody listens on. Chosen here because redirect addresses contain it. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
