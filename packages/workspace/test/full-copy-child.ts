import { mkdirSync, writeFileSync } from 'node:fs';
import { copyFound } from '../src/carry-changes.ts';
import { nodeAt } from '../src/scan-directory.ts';

/* Copies what does not fit on a small disk, and says how each copy ends: node full-copy-child.ts <directory> <disk> */
const [from = '', disk = ''] = process.argv.slice(2);
const outcomes: string[] = [];
const attempt = async (path: string): Promise<void> => {
  outcomes.push(
    await copyFound(from, disk, nodeAt(from, path)).then(
      () => 'done',
      (error: unknown) => (error as { readonly code: string }).code,
    ),
  );
};

writeFileSync(`${from}/large`, Buffer.alloc(2_000_000, 'x'));
await attempt('large');
// Nothing is left now.
writeFileSync(`${from}/small`, Buffer.alloc(50_000, 'x'));
await attempt('small');
mkdirSync(`${from}/other`);
for (let number = 0; outcomes.length < 3 && number < 20; number += 1) {
  writeFileSync(`${from}/other/${number}`, '');
  await attempt(`other/${number}`);
  if (outcomes.at(-1) === 'done') outcomes.pop();
}
process.stdout.write(JSON.stringify(outcomes));
