import { closeSync, openSync, readdirSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { asOpencodeToolsError } from '@opencode-tools/core';
import { acquire, fillStore, maintenanceOf, openAt } from './administration.ts';

/** Fills the small disk that it is given, tries every verb, makes room and says what is left. */
const [disk = ''] = process.argv.slice(2);
const directory = join(disk, 'home');
const filler = join(disk, 'filler');
const place = { engine: 'sqlite' } as const;
const attempts: { verb: string; code: string; message: string; remedy: string }[] = [];

async function attempt(verb: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
    attempts.push({ verb, code: 'done', message: '', remedy: '' });
  } catch (error) {
    const { code, message, remedy } = asOpencodeToolsError(error);
    attempts.push({ verb, code, message, remedy });
  }
}

function fillDisk(): void {
  const file = openSync(filler, 'a');
  for (const size of [65_536, 4_096, 1]) {
    const bytes = Buffer.alloc(size);
    try {
      for (;;) if (writeSync(file, bytes) < size) break;
    } catch {
      // That size does not fit any more.
    }
  }
  closeSync(file);
}

const store = await openAt(directory, place);
const [task] = await fillStore(store);
const maintenance = await maintenanceOf(directory, place);
const { file } = await maintenance.backup();
fillDisk();
await attempt('write', async () => {
  for (let times = 0; times < 500; times += 1) await acquire(store, task as never);
});
await store.close().catch(() => undefined);
await attempt('backup', () => maintenance.backup());
await attempt('rollback', () => maintenance.rollback({ to: 1 }));
await attempt('restore', () => maintenance.restore({ file }));
rmSync(filler);
const lost = readdirSync(directory).filter((name) => name.startsWith('registry'));
for (const name of lost) rmSync(join(directory, name));

/** With a little more room each time, until there is enough: nothing in between makes a registry without its tasks. */
const rebuilds: string[] = [];
for (let room = 0; rebuilds.at(-1) !== 'done'; room += 48 * 1024) {
  fillDisk();
  truncateSync(filler, Math.max(0, statSync(filler).size - room));
  await attempt('rebuild', () => maintenance.rebuild());
  rebuilds.push(attempts.at(-1)?.code ?? '');
}
attempts.pop();
rmSync(filler);
const again = await openAt(directory, place);
const { ok } = await again.admin.verify();
const { tasks } = await again.admin.status();
await again.close();
const names = readdirSync(join(directory, 'backups'));
const left = {
  ok,
  tasks,
  backups: (await maintenance.listBackups()).length,
  temporary: names.filter((name) => name.startsWith('.') || name.endsWith('.partial')),
};
console.log(JSON.stringify({ attempts, left }));
