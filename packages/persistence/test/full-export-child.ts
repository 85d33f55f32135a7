import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { type TaskId, asOpencodeToolsError } from '@opencode-tools/core';
import { addRows, sampleNote } from '@opencode-tools/testkit';
import { fillStore, openAt } from './administration.ts';

/* Exports the memory of a task to a small disk that is full, with a little more room each time: node full-export-child.ts <disk> <home> */
const [disk = '', home = ''] = process.argv.slice(2);
const filler = join(disk, 'filler');
const [first, fresh] = [join(disk, 'first'), join(disk, 'fresh')];
for (const repository of [first, fresh]) mkdirSync(repository);

/** Leaves so many bytes. */
function fillDisk(room: number): void {
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
  truncateSync(filler, Math.max(0, statSync(filler).size - room));
}

const filesIn = (repository: string): unknown =>
  readdirSync(repository, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => [entry.name, readFileSync(join(entry.parentPath, entry.name), 'utf8')])
    .sort();

const store = await openAt(home, { engine: 'sqlite' });
const [task] = await fillStore(store);
const id = task?.id as TaskId;
await store.admin.exportMemory(id, first);
const value = sampleNote(id, { text: 'x'.repeat(20_000) });
for (let times = 0; times < 4; times += 1)
  await addRows(store.tasks, id, { noun: 'note', value: { ...value, id: sampleNote(id).id } });

const ends: { repository: string; code: string; message: string; remedy: string; same: boolean; names: unknown }[] = [];
for (const repository of [first, fresh]) {
  for (let room = 0; ends.at(-1)?.code !== 'done' || ends.at(-1)?.repository !== repository; room += 8_192) {
    fillDisk(room);
    const before = JSON.stringify(filesIn(repository));
    const said = await store.admin.exportMemory(id, repository).then(
      () => ({ code: 'done', message: '', remedy: '' }),
      (error: unknown) => asOpencodeToolsError(error),
    );
    const same = JSON.stringify(filesIn(repository)) === before;
    const names = readdirSync(repository).flatMap((name) => [name, ...readdirSync(join(repository, name))]);
    ends.push({ repository, code: said.code, message: said.message, remedy: said.remedy ?? '', same, names });
  }
}
rmSync(filler);
await store.close();
console.log(JSON.stringify({ id, ends }));
