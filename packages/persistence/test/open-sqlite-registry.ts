import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '@opencode-tools/core';
import type { OpenRegistry } from '@opencode-tools/testkit';
import { openSqliteStore } from '../src/sqlite.ts';

/** A clock that runs with the machine's, as far ahead as it was moved. */
export function movableClock(): Clock & { move(ms: number): void } {
  let aheadMs = 0;
  return { nowMs: () => Date.now() + aheadMs, move: (ms) => void (aheadMs += ms) };
}

export function temporaryDirectory(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'oct-persistence-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

export async function openSqliteRegistry(): Promise<OpenRegistry> {
  const clock = movableClock();
  const directory = temporaryDirectory();
  const store = await openSqliteStore({ directory: join(directory.path, 'home'), clock });
  return {
    ...store,
    directory: join(directory.path, 'home'),
    passTime: async (ms) => clock.move(ms),
    close: async () => {
      await store.close();
      directory.remove();
    },
  };
}
