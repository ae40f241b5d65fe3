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
