/** The docs name the clients, and their versions, that are driven here. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { repository } from '../support/server.ts';

test('the docs say which versions of which clients are driven', () => {
  const docs = readFileSync(join(repository, 'docs/authorization-server.md'), 'utf8');
  const rows = [...docs.matchAll(/^\| (npm|PyPI) `([^`]+)` \| (\S+) \|/gm)];
  assert.ok(rows.length > 0, 'there is a table');
  const npm = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8')).devDependencies;
  const pip = readFileSync(join(import.meta.dirname, 'requirements.txt'), 'utf8');
  for (const [, registry, name = '', version] of rows) {
    const installed = registry === 'npm' ? npm[name] : new RegExp(`^${name}==(.*)$`, 'm').exec(pip)?.[1];
    assert.equal(version, installed, name);
  }
});
