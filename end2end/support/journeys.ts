/** What people do in many stories, through the pages alone. */
import type { APIRequestContext, Page } from '@playwright/test';
import { readFileSync } from 'node:fs';
import type { Attorn, Person } from './attorn.ts';
import { expect } from './attorn.ts';

/** Signs in and waits until the overview is there. */
export async function signIn(page: Page, person: Person): Promise<void> {
  await page.goto('/sign-in');
  await page.getByLabel('Email').fill(person.email);
  await page.getByLabel('Password').fill(person.password);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /^Hello/ })).toBeVisible();
}

/** On a provider's consent page: agrees as this person. */
export async function agreeAs(page: Page, email: string): Promise<void> {
  await page.getByRole('button', { name: email }).click();
}

/** Gives the agent its sentence, and waits for the page of the run. */
export async function ask(page: Page, sentence: string): Promise<void> {
  await page.goto('/agent');
  await page.getByLabel('What should the agent do?').fill(sentence);
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page).toHaveURL(/\/agent\/runs\/run_/);
  await expect(page.getByText(sentence)).toBeVisible();
}

/** From a run that waits for consent: allows the agent, with the accounts that are ticked. */
export async function allowAgent(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Allow the agent' }).click();
  await expect(page.getByRole('heading', { level: 1, name: /asks for access$/ })).toBeVisible();
  await page.getByRole('button', { name: 'Allow' }).click();
  await expect(page).toHaveURL(/\/agent\/runs\/run_/);
}

/** How the run on this page stands, in a word. */
export async function expectRun(page: Page, word: string): Promise<void> {
  await expect(page.getByRole('status').getByText(word, { exact: true })).toBeVisible({ timeout: 20_000 });
}

export interface Message {
  channel_name: string;
  text: string;
  email: string;
}

/** What was posted at the sandbox's Slack so far. */
export async function postedMessages(request: APIRequestContext, attorn: Attorn): Promise<Message[]> {
  const answer = await request.get(`${sandboxOf(attorn)}/control/posted`);
  expect(answer.status()).toBe(200);
  return (await answer.json()) as Message[];
}

/** Where the demo's providers are: it says so as it starts. */
function sandboxOf(attorn: Attorn): string {
  const found = /Sandbox providers (http:\S+)/.exec(readFileSync(attorn.log, 'utf8'))?.[1];
  if (!found) throw new Error('the demo did not say where its sandbox is');
  return found.replace(/\/$/, '');
}

/** A device that registered itself asks; what it is answered. */
export async function askAsDevice(request: APIRequestContext, url: string) {
  const grant = 'urn:ietf:params:oauth:grant-type:device_code';
  const registered = await request.post(`${url}/oidc/register`, {
    data: { client_name: 'Television', grant_types: [grant], response_types: [], token_endpoint_auth_method: 'none' },
  });
  const { client_id } = (await registered.json()) as { client_id: string };
  const asked = await request.post(`${url}/oauth/device/code`, { form: { client_id, scope: 'openid email' } });
  const body = (await asked.json()) as { user_code: string; device_code: string; verification_uri_complete: string };
  const poll = async () => {
    const form = { grant_type: grant, client_id, device_code: body.device_code };
    return (await (await request.post(`${url}/oauth/token`, { form })).json()) as { error?: string; id_token?: string };
  };
  return { ...body, poll };
}
