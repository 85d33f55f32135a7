import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Task } from '@opencode-tools/core';
import { openTestEngine } from '@opencode-tools/testkit';
import { expect, test } from 'vitest';
import { openCli } from './run-bin.ts';

test('ledgers of many tasks move to another home in one file, none where one does not fit', async () => {
  const engine = await openTestEngine();
  const environment = { OPENCODE_TOOLS_IMAGE: engine.imageId };
  await using one = await openCli(environment);
  await using other = await openCli(environment);
  const exports: string[] = [];
  const ids: string[] = [];
  for (const title of ['first', 'second', 'third']) {
    const directory = join(one.home, '..', title);
    await mkdir(directory);
    await chown(directory, 1000, 1000);
    const { task } = await one.json<{ task: Task }>(['create-task', title, '--bind', directory]);
    ids.push(task.id);
    exports.push((await one.run(['ledger', 'export', task.id])).stdout);
  }
  const file = join(one.home, 'all.jsonl');
  const spoilt = exports[2]?.replaceAll('third', 'thirt') ?? '';
  expect(spoilt).not.toBe(exports[2]);
  await writeFile(file, [...exports.slice(0, 2), spoilt].join(''));
  expect(await other.run(['ledger', 'import', '--many', file])).toMatchObject({
    code: 8,
    stderr: expect.stringContaining(ids[2] ?? '') as string,
  });
  expect(await other.json(['verify'])).toMatchObject({ ok: true, chains: 1, broken: [] });

  const all = exports.join('');
  const taken = await other.run(['ledger', 'import', '--many', '-'], { input: all });
  expect(taken).toMatchObject({ code: 0, stdout: expect.stringContaining('of 3 tasks') as string });
  expect(await other.json(['ledger', 'import', '--many', '-'], { input: all })).toEqual({ chains: 3, added: 0 });
  for (const [index, id] of ids.entries())
    expect((await other.run(['ledger', 'export', id])).stdout).toBe(exports[index]);
  expect(await other.json(['verify'])).toMatchObject({ ok: true, chains: 4 });
  const onlyOne = await other.run(['ledger', 'import', '-'], { input: all });
  expect(onlyOne).toMatchObject({ code: 2, stderr: expect.stringContaining('remedy') as string });
  await engine.close();
});
