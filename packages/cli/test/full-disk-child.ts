import { closeSync, openSync, readFileSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { runLine } from './run-line.ts';

/* Exports a checkpoint to a small disk that fills up meanwhile, or is full: node full-disk-child.ts <disk> */
const [cwd = ''] = process.argv.slice(2);
const checkpoint = { id: 'chk_0000000000000000000000000a', name: 'large' };

async function* megabytes() {
  for (let times = 0; times < 8; times += 1) yield Buffer.alloc(1_048_576, times + 1);
}
const run = (file: string) =>
  runLine(
    ['checkpoints', 'export', 't', 'large', file],
    { checkpoints: { export: async () => ({ checkpoint, stream: megabytes(), root: 'none' }) } } as never,
    { cwd },
  );
writeFileSync(join(cwd, 'old.tar'), 'an older export');
const filling = await run('new.tar');
const filler = openSync(join(cwd, 'filler'), 'a');
for (const size of [65_536, 4_096, 1]) {
  try {
    while (writeSync(filler, Buffer.alloc(size)) === size);
  } catch {
    // That size does not fit any more.
  }
}
closeSync(filler);
const full = await run('new.tar');
const ends = [filling, full].map(({ code, stderr }) => ({ code, stderr }));
process.stdout.write(
  JSON.stringify({ ends, names: readdirSync(cwd).sort(), old: readFileSync(join(cwd, 'old.tar'), 'utf8') }),
);
