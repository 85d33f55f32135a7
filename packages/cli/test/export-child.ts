import { runLine } from './run-line.ts';

/* Exports a checkpoint that never ends: node export-child.ts <directory> */
const [cwd = ''] = process.argv.slice(2);
const checkpoint = { id: 'chk_0000000000000000000000000a', name: 'endless' };

async function* endless() {
  for (let times = 0; ; times += 1) {
    yield Buffer.alloc(65_536);
    if (times === 3) process.stdout.write('writing');
    if (times > 3) await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
await runLine(
  ['checkpoints', 'export', 't', 'endless', 'out.tar'],
  { checkpoints: { export: async () => ({ checkpoint, stream: endless(), root: 'none' }) } } as never,
  { cwd },
);
