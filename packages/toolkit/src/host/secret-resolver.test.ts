import { mkdtempSync } from 'node:fs';
import { rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EnvReference } from '@opencode-tools/core';
import { secretResolverContract } from '@opencode-tools/testkit';
import { afterAll, expect, test } from 'vitest';
import { createSecretResolver } from './secret-resolver.ts';

const directory = mkdtempSync(join(tmpdir(), 'oct-secret-'));
const keyFile = () => join(directory, 'secrets.key');

afterAll(async () => {
  await rm(directory, { recursive: true, force: true });
});

test('values come from the environment and from files, without the last line break', async () => {
  const path = join(directory, 'token');
  await writeFile(path, 'two\nlines\n');
  const resolver = createSecretResolver({ FROM: 'one' }, keyFile());
  await expect(
    resolver.resolve([
      { name: 'A', from: 'env', variable: 'FROM' },
      { name: 'B', from: 'file', path },
    ]),
  ).resolves.toEqual({ A: 'one', B: 'two\nlines' });
});

test('values come from what programs print, which no shell reads and which find their input at its end', async () => {
  const resolver = createSecretResolver({ PATH: process.env['PATH'] ?? '', FROM: 'one' }, keyFile());
  const printing = (argv: readonly string[]): EnvReference => ({ name: 'A', from: 'command', argv });
  const valueOf = async (argv: readonly string[]) => (await resolver.resolve([printing(argv)]))['A'];
  expect(await valueOf(['printf', '%s\n\n', '$FROM; echo two'])).toBe('$FROM; echo two\n');
  expect(await valueOf(['printenv', 'FROM'])).toBe('one');
  expect(await valueOf(['cat'])).toBe('');
  await expect(valueOf(['sh', '-c', 'echo hidden; exit 3'])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    message: 'Cannot resolve A for the sandbox: command sh ended with 3',
  });
  await expect(valueOf(['no-such-program-here'])).rejects.toMatchObject({ message: expect.stringContaining('ENOENT') });
});

test('a program that does not end in time is ended, though it ignores that it is asked to', async () => {
  const resolver = createSecretResolver({ PATH: process.env['PATH'] ?? '' }, keyFile(), { limitMs: 200 });
  const argv = ['sh', '-c', 'trap "" TERM; exec sleep 20'];
  await expect(resolver.resolve([{ name: 'A', from: 'command', argv }])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    message: expect.stringContaining('did not end in 200 ms'),
  });
});

test('why a program gave no value is said as it is: too much, a signal, or its own number', async () => {
  const resolver = createSecretResolver({ PATH: process.env['PATH'] ?? '' }, keyFile(), { limitMs: 1_000 });
  const refused = (script: string) =>
    resolver.resolve([{ name: 'A', from: 'command', argv: ['sh', '-c', script] }]).then(
      () => 'resolved',
      (error: unknown) => (error as Error).message,
    );
  expect(await refused('head -c 2000000 /dev/zero')).toMatch(/command sh printed more than \d+ bytes$/);
  expect(await refused('kill -TERM $$')).toMatch(/command sh ended with SIGTERM$/);
  expect(await refused('sleep 5 & exit 3')).toMatch(/command sh ended with 3$/);
});

test.each<readonly [EnvReference, string]>([
  [{ name: 'A', from: 'env', variable: 'MISSING' }, 'MISSING is not set'],
  [{ name: 'A', from: 'file', path: '/nonexistent/secret' }, 'ENOENT'],
  [{ name: 'A', from: 'file', path: 'relative' }, 'not an absolute path'],
])('%j is refused by name, saying why', async (reference, message) => {
  await expect(createSecretResolver({}, keyFile()).resolve([reference])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
    details: { name: 'A' },
    message: expect.stringContaining(message),
  });
});

test('a file larger than 64 KiB is refused', async () => {
  const path = join(directory, 'large');
  await writeFile(path, 'x'.repeat(64 * 1024 + 1));
  await expect(createSecretResolver({}, keyFile()).resolve([{ name: 'A', from: 'file', path }])).rejects.toMatchObject({
    code: 'OCT_INVALID_ARGUMENT',
  });
});

test('several that make the key at once mark alike; another key marks otherwise, and only its owner reads it', async () => {
  const file = join(directory, 'at-once.key');
  const marks = await Promise.all(Array.from({ length: 8 }, () => createSecretResolver({}, file).mark([{ A: 'one' }])));
  expect(new Set(marks).size).toBe(1);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  const other = createSecretResolver({}, join(directory, 'other.key'));
  expect(await other.mark([{ A: 'one' }])).not.toBe(marks[0]);
});

secretResolverContract('environment and files', createSecretResolver({ FROM: 'a-secret-value' }, keyFile()), {
  known: { reference: { name: 'A', from: 'env', variable: 'FROM' }, value: 'a-secret-value' },
  unknown: { name: 'B', from: 'env', variable: 'MISSING' },
});
