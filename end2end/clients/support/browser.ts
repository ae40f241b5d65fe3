/**
 * A person at a browser without JavaScript: cookies, links and forms, nothing else.
 * What is posted is what the page's own form holds, so that a page that lost a field
 * fails here as it would for people.
 */
import type { Attorn, Person } from '../../support/server.ts';

/** A form as it stands in a page. */
interface Form {
  action: string;
  body: string;
  fields: [string, string][];
}

interface Page {
  url: string;
  status: number;
  text: string;
  /** Where it leads, if it is a redirect. */
  location: string | undefined;
}

export class Browser {
  private readonly cookies = new Map<string, string>();
  private readonly attorn: Attorn;
  private readonly person: Person;

  constructor(attorn: Attorn, person: Person = attorn.user) {
    this.attorn = attorn;
    this.person = person;
  }

  /**
   * Goes to an address of `/authorize`, signs in and allows what is asked, and gives
   * the address that the browser is sent to at the client.
   */
  async allow(address: URL): Promise<URL> {
    return this.answer(address, 'allow');
  }

  /** The same, but the person denies. */
  async deny(address: URL): Promise<URL> {
    return this.answer(address, 'deny');
  }

  /** Allows what a device asks, at the address that it shows. */
  async connectDevice(address: string): Promise<void> {
    const done = await this.submit(await this.visit(address), { decision: 'allow' });
    if (!done.url.endsWith('/device?done=allowed')) throw new Error(`${done.url}:\n${plain(done.text)}`);
  }

  /** Links an account on the page of a ticket, agreeing at the sandbox's provider, and gives where that leads. */
  async link(address: string): Promise<URL> {
    const away = await this.submit(await this.visit(address), { decision: 'continue' });
    if (away.location === undefined) throw new Error(`no way to the provider (${away.status}):\n${plain(away.text)}`);
    const body = new URLSearchParams({ email: this.person.email });
    const agreed = await fetch(away.location, { method: 'POST', redirect: 'manual', body });
    const back = await this.visit(agreed.headers.get('location') ?? '');
    if (back.location === undefined) throw new Error(`no way back to the client (${back.status}):\n${plain(back.text)}`);
    return new URL(back.location);
  }

  /** Approves or denies the one approval that waits, on its page. */
  async decide(decision: 'approve' | 'deny'): Promise<void> {
    const list = await this.visit(`${this.attorn.url}/approvals`);
    const pending = /<ul\b[^>]*data-list="pending"[^>]*>(.*?)<\/ul>/s.exec(list.text)?.[1] ?? '';
    const waiting = [...new Set([...pending.matchAll(/href="(\/approve\/[^"?#]+)"/g)].map((match) => match[1]))];
    if (waiting.length !== 1) throw new Error(`${waiting.length} approvals wait, not one`);
    const page = await this.visit(`${this.attorn.url}${waiting[0]}`);
    const done = await this.submit(page, { decision });
    if (done.status !== 200) throw new Error(`the decision was answered ${done.status}`);
  }

  /** Opens a page, signing in on the way if it asks for it. */
  async visit(address: string | URL): Promise<Page> {
    return this.signedIn(await this.follow(await this.send('GET', new URL(address))));
  }

  /** Posts the page's form that has these fields or buttons, as it stands but for them. */
  async submit(page: Page, typed: Record<string, string>): Promise<Page> {
    const names = Object.keys(typed);
    const form = formsOf(page.text).find((form) => names.every((name) => form.body.includes(` name="${name}"`)));
    if (!form) throw new Error(`${page.url} (${page.status}) has no form with ${names}:\n${plain(page.text)}`);
    const fields = [...form.fields.filter(([name]) => !names.includes(name)), ...Object.entries(typed)];
    return this.follow(await this.send('POST', new URL(form.action, page.url), new URLSearchParams(fields)));
  }

  private async answer(address: URL, decision: string): Promise<URL> {
    let page = await this.visit(address);
    if (page.location === undefined) page = await this.submit(page, { decision });
    if (page.location === undefined) throw new Error(`no way back to the client (${page.status}):\n${plain(page.text)}`);
    return new URL(page.location);
  }

  private async signedIn(page: Page): Promise<Page> {
    if (page.location !== undefined || !new URL(page.url).pathname.startsWith('/sign-in')) return page;
    return this.submit(page, { email: this.person.email, password: this.person.password });
  }

  /** Follows redirects as long as they stay at Attorn; where one leaves it, `location` says where to. */
  private async follow(page: Page): Promise<Page> {
    while (page.location !== undefined && new URL(page.location).origin === new URL(this.attorn.url).origin) {
      page = await this.send('GET', new URL(page.location));
    }
    return page;
  }

  private async send(method: string, url: URL, body?: URLSearchParams): Promise<Page> {
    const answer = await fetch(url, {
      method,
      redirect: 'manual',
      headers: {
        accept: 'text/html',
        cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; '),
        ...(body ? { origin: this.attorn.url } : {}),
      },
      ...(body ? { body } : {}),
    });
    for (const cookie of answer.headers.getSetCookie()) {
      const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split(/=(.*)/s);
      this.cookies.set(name, value);
    }
    const location = answer.headers.get('location');
    const text = await answer.text();
    return {
      url: url.href,
      status: answer.status,
      text,
      location: location === null ? undefined : new URL(location, url).href,
    };
  }
}

function formsOf(html: string): Form[] {
  return [...html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gs)].map(([, head = '', body = '']) => ({
    action: attribute(head, 'action') ?? '',
    body,
    fields: [...body.matchAll(/<input\b([^>]*)>/g)]
      .map(([, input = '']) => input)
      .filter((input) => !/type="(checkbox|radio)"/.test(input) || /\schecked\b/.test(input))
      .flatMap((input): [string, string][] => {
        const name = attribute(input, 'name');
        return name === undefined ? [] : [[name, attribute(input, 'value') ?? '']];
      }),
  }));
}

function attribute(tag: string, name: string): string | undefined {
  const found = new RegExp(`\\s${name}="([^"]*)"`).exec(tag)?.[1];
  return found
    ?.replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#x27;', "'")
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}

/** What a reader sees of a page, for messages. */
function plain(html: string): string {
  return html
    .replace(/<(script|style)\b.*?<\/\1>/gs, '')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
}
