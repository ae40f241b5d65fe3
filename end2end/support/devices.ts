/** A device with a fingerprint reader, and a push service, both of the test's own. */
import type { BrowserContext, CDPSession, Page } from '@playwright/test';
import { createECDH, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import ece from 'http_ece';
import { expect } from './attorn.ts';

/** A passkey reader in this page's browser, which confirms by itself. */
export interface Reader {
  /** Whether the finger is the right one from now on. */
  recognises(person: boolean): Promise<void>;
}

export async function reader(page: Page): Promise<Reader> {
  const session = await page.context().newCDPSession(page);
  await session.send('WebAuthn.enable');
  const { authenticatorId } = await session.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    async recognises(person) {
      await session.send('WebAuthn.setUserVerified', { authenticatorId, isUserVerified: person });
    },
  };
}

/** Sets this page's device up, and gives the recovery codes if there are new ones. */
export async function setUpDevice(page: Page, name: string): Promise<string[]> {
  await page.goto('/devices');
  await page.getByLabel('Name of this device').fill(name);
  await page.getByRole('button', { name: 'Set up this device' }).click();
  await expect(page.getByRole('listitem').filter({ hasText: name }).getByText('Ready')).toBeVisible();
  return page.locator('.codes code').allTextContents();
}

/** One message as the push service took it. */
export interface Message {
  headers: Record<string, string | string[] | undefined>;
  /** What the worker will read, opened with `http_ece`. */
  notice: { kind: string; approval: string; title: string; body: string };
  text: string;
}

export interface PushService {
  messages: Message[];
  close(): Promise<void>;
}

/**
 * A push service for the browsers of this context, whose keys the test owns:
 * the vendor's cannot be reached here. It opens what it is sent with an
 * implementation of RFC 8291 that nobody here wrote.
 */
export async function pushService(context: BrowserContext): Promise<PushService> {
  const key = createECDH('prime256v1');
  const p256dh = key.generateKeys('base64url');
  const auth = randomBytes(16);
  const messages: Message[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const opened = ece.decrypt(Buffer.concat(parts), { version: 'aes128gcm', privateKey: key, authSecret: auth });
      const text = opened.toString('utf8');
      messages.push({ headers: request.headers, notice: JSON.parse(text) as Message['notice'], text });
      response.writeHead(201).end();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const endpoint = `http://127.0.0.1:${address.port}/send/phone`;
  await context.addInitScript(
    ({ endpoint, keys }) => {
      const bytes = (text: string): ArrayBuffer =>
        Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0)).buffer;
      PushManager.prototype.getSubscription = async () => null;
      PushManager.prototype.subscribe = async (options) => {
        if (!options?.userVisibleOnly || !options.applicationServerKey) throw new Error('not as browsers want it');
        const subscription = { endpoint, getKey: (name: 'p256dh' | 'auth') => bytes(keys[name]) };
        return subscription as unknown as PushSubscription;
      };
    },
    { endpoint, keys: { p256dh, auth: auth.toString('base64url') } },
  );
  return {
    messages,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** Hands messages to the page's real service worker, as the browser does after decrypting. */
export async function delivery(page: Page, origin: string): Promise<(data: string) => Promise<void>> {
  const session: CDPSession = await page.context().newCDPSession(page);
  const registered = new Promise<string>((resolve) => {
    session.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const found = registrations.find(({ isDeleted }) => !isDeleted);
      if (found) resolve(found.registrationId);
    });
  });
  await session.send('ServiceWorker.enable');
  const registrationId = await registered;
  return async (data) => {
    await session.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data });
  };
}

/** The notifications that this origin shows. */
export async function shownNotices(page: Page): Promise<{ title: string; body: string; url: string }[]> {
  return page.evaluate(async () => {
    const worker = await navigator.serviceWorker.ready;
    const all = await worker.getNotifications();
    return all.map(({ title, body, data }) => ({ title, body, url: (data as { url: string }).url }));
  });
}
