/**
 * A page of a single-page app without a screen: a script's own globals, its storage, and
 * a `fetch` that is held to CORS as a browser's is.
 */
import assert from 'node:assert/strict';
import { createContext, runInContext } from 'node:vm';

/** Headers that need no leave of the server's (Fetch standard, CORS-safelisted). */
const SAFE = new Set(['accept', 'accept-language', 'content-language']);
const SAFE_TYPES = new Set(['application/x-www-form-urlencoded', 'multipart/form-data', 'text/plain']);

/** Runs a script in a new page at this address and gives what it left under `name`. */
export function run(script: string, address: string, name: string): unknown {
  const location = new URL(address);
  const page: Record<string, unknown> = {
    location,
    document: { cookie: '' },
    navigator: { userAgent: 'test', locks: { request: async (_: string, ...rest: unknown[]) => hold(rest.at(-1)) } },
    localStorage: new Storage(),
    sessionStorage: new Storage(),
    fetch: async (input: string | URL | Request, init?: RequestInit) => fetchFrom(location.origin, input, init),
    addEventListener() {},
    removeEventListener() {},
    crypto,
    console,
    atob,
    btoa,
    setTimeout,
    clearTimeout,
    AbortController,
    Headers,
    Request,
    Response,
    TextDecoder,
    TextEncoder,
    URL,
    URLSearchParams,
  };
  page['window'] = page['self'] = page;
  runInContext(script, createContext(page));
  return page[name];
}

/** Nobody else is on this page, so that every lock is free. */
function hold(then: unknown): unknown {
  return (then as (lock: object) => unknown)({});
}

class Storage {
  private readonly kept = new Map<string, string>();
  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }
  removeItem(key: string): void {
    this.kept.delete(key);
  }
}

async function fetchFrom(origin: string, input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const asks = [...request.headers]
    .filter(([name, value]) => !SAFE.has(name) && !(name === 'content-type' && SAFE_TYPES.has(value.split(';')[0]!)))
    .map(([name]) => name);
  if (asks.length > 0 || !['GET', 'HEAD', 'POST'].includes(request.method)) {
    const leave = await fetch(request.url, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': request.method,
        ...(asks.length > 0 ? { 'access-control-request-headers': asks.sort().join(',') } : {}),
      },
    });
    assert.ok(leave.ok, `${request.url} answers a preflight with ${leave.status}`);
    mayBeRead(origin, leave);
    const listed = (name: string) => (leave.headers.get(name) ?? '').toLowerCase().split(/\s*,\s*/);
    const headers = listed('access-control-allow-headers');
    for (const name of asks) {
      // Fetch standard: the asterisk does not cover `authorization`.
      const covered = headers.includes(name) || (headers.includes('*') && name !== 'authorization');
      assert.ok(covered, `${request.url} does not allow the header ${name} from a page`);
    }
  }
  const headers = new Headers(request.headers);
  headers.set('origin', origin);
  const answer = await fetch(new Request(request, { headers }));
  mayBeRead(origin, answer);
  return answer;
}

function mayBeRead(origin: string, answer: Response): void {
  const allowed = answer.headers.get('access-control-allow-origin');
  assert.ok(allowed === '*' || allowed === origin, `${answer.url} may not be read by a page (${allowed})`);
}
