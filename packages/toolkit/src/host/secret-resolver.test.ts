import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnvReference } from '@opencode-tools/core';
import { secretResolverContract } from '@opencode-tools/testkit';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSecretResolver } from './secret-resolver.ts';

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'oct-secret-'));
});

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('values come from the environment and from files, without the last line break', async () => {
  const path = join(directory, 'token');
  await writeFile(path, 'two\nlines\n');
  const resolver = createSecretResolver({ FROM: 'one' });
  await expect(
    resolver.resolve([
      { name: 'A', from: 'env', variable: 'FROM' },
      { name: 'B', from: 'file', path },
    ]),
  ).resolves.toEqual({ A: 'one', B: 'two\nlines' });
});

test.each<readonly [EnvReference, string]>([
  [{ name: 'A', from: 'env', variable: 'MISSING' }, 'MISSING is not set'],
  [{ name: 'A', from: 'file', path: '/nonexistent/secret' }, 'ENOENT'],
  [{ name: 'A', from: 'file', path: 'relative' }, 'not an absolute path'],
])('%j is refused by name, saying why', async (reference, message) => {
  await expect(createSecretResolver({}).resolve([reference])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    details: { name: 'A' },
    message: expect.stringContaining(message),
  });
});

test('a file larger than 64 KiB is refused', async () => {
  const path = join(directory, 'large');
  await writeFile(path, 'x'.repeat(64 * 1024 + 1));
  await expect(createSecretResolver({}).resolve([{ name: 'A', from: 'file', path }])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
  });
});

secretResolverContract('environment and files', createSecretResolver({ FROM: 'a-secret-value' }), {
  known: { reference: { name: 'A', from: 'env', variable: 'FROM' }, value: 'a-secret-value' },
  unknown: { name: 'B', from: 'env', variable: 'MISSING' },
});
