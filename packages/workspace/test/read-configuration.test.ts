import { appendFileSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readConfiguration } from '../src/read-configuration.ts';
import { git as run } from './merge-bed.ts';
import { git } from './open-store.ts';

test('settings are read with the files that say so, whatever is in them', async () => {
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'oct-configuration-')));
  try {
    run(top, 'init', '-q');
    writeFileSync(join(top, 'more'), '[a "B.c"]\n\tD = "x\\ny = z"\n[e]\n\talone\n\tempty =\n');
    appendFileSync(join(top, '.git/config'), '[include]\n\tpath = ../more\n');
    const entries = await readConfiguration(git.runner, { cwd: top, config: ['e.given=1'] });
    const more = { file: join(top, '.git/../more').replace('/.git/..', '') };
    expect(entries.filter(({ key }) => !key.startsWith('core.'))).toEqual([
      { file: join(top, '.git/config'), key: 'include.path', value: '../more' },
      { ...more, key: 'a.B.c.d', value: 'x\ny = z' },
      { ...more, key: 'e.alone', value: 'true' },
      { ...more, key: 'e.empty', value: '' },
    ]);
  } finally {
    rmSync(top, { recursive: true });
  }
});
