import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type StoreUser, printable } from '@opencode-tools/core';
import { findOpeners } from './lock-holder.ts';

/** Finds the other processes of this machine that have a registry file open, whatever build they are. */
export async function findUsers(databasePath: string): Promise<readonly StoreUser[]> {
  const others = (await findOpeners(databasePath)).filter((pid) => pid !== process.pid);
  return Promise.all(
    others.map(async (pid) => ({ pid: pid === 0 ? null : pid, host: null, program: await programOf(pid) })),
  );
}

/** Names what a process runs: the program and, for an interpreter, its file. Other arguments may hold anything. */
async function programOf(pid: number): Promise<string | null> {
  try {
    const [program = '', ...rest] = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
    const names = [program, ...rest.filter((argument) => argument.startsWith('/')).slice(0, 1)];
    return printable(names.map((name) => path.basename(name)).join(' ')) || null;
  } catch {
    return null;
  }
}
