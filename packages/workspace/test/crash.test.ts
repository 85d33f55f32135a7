import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { layoutOf, removeAbandoned } from '../src/store-files.ts';
import { openStore } from './open-store.ts';

const script = fileURLToPath(new URL('freeze-child.ts', import.meta.url));
const moments = {
  'a pack is being written': (store: string) => has(join(store, 'tmp'), 'pack-'),
  'the pack is in place': (store: string) => has(join(store, 'packs'), '.pack', 2),
  'the manifest is being written': (store: string) => has(join(store, 'tmp'), 'file-'),
  'the manifest is in place': (store: string) => has(join(store, 'snapshots'), '.manifest', 2),
} as const;

test.each(Object.entries(moments))('a process killed while %s leaves a store that works', async (_, reached) => {
  const { store, directory, scratch, close } = await openStore();
  try {
    const small = plant(join(scratch, 'small'), 3, 100);
    const early = await store.freeze({ kind: 'directory', path: small });
    const tree = plant(join(scratch, 'tree'), 400, 50_000);

    const child = freezeInChild(directory, tree);
    const ended = once(child, 'exit');
    while (!reached(directory) && child.exitCode === null && child.signalCode === null) await setImmediate();
    child.kill('SIGKILL');
    await ended;

    for (const id of snapshotsIn(directory)) expect(await store.verify(id)).toMatchObject({ id });
    const frozen = await store.freeze({ kind: 'directory', path: tree });
    expect(await store.verify(frozen.id)).toMatchObject({ id: frozen.id, bytes: 400 * 50_000 });
    expect(await store.verify(early.id)).toMatchObject({ id: early.id });
    await removeAbandoned(layoutOf(directory), -1_000);
    expect(readdirSync(join(directory, 'tmp'))).toEqual([]);
  } finally {
    await close();
  }
});

test('processes that freeze at once into one store agree and disturb nobody', async () => {
  const { store, directory, scratch, close } = await openStore();
  try {
    const tree = plant(join(scratch, 'tree'), 300, 5_000);
    const children = [1, 2, 3].map(() => freezeInChild(directory, tree));
    const outputs = await Promise.all(
      children.map(async (child) =>
        (await Promise.all([child.stdout?.setEncoding('utf8').toArray(), once(child, 'exit')]))[0]?.join(''),
      ),
    );
    const { id } = await store.freeze({ kind: 'directory', path: tree });
    expect(outputs).toEqual([id, id, id]);
    expect(await store.verify(id)).toMatchObject({ id });
  } finally {
    await close();
  }
});

function freezeInChild(directory: string, tree: string): ChildProcess {
  const args = ['--experimental-strip-types', '--conditions=@opencode-tools/source', script, directory, tree];
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

function plant(directory: string, files: number, bytes: number): string {
  mkdirSync(directory);
  for (let index = 0; index < files; index += 1) writeFileSync(join(directory, `file-${index}`), randomBytes(bytes));
  return directory;
}

function has(directory: string, part: string, least = 1): boolean {
  return readdirSync(directory).filter((name) => name.includes(part)).length >= least;
}

function snapshotsIn(directory: string): readonly string[] {
  return readdirSync(join(directory, 'snapshots')).map((name) => name.replace('.manifest', ''));
}
