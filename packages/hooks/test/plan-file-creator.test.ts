import { mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger, systemClock } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { createHooks, planFileCreator } from '../src/index.ts';
import { context, task, temporaryDirectory } from './fixtures.ts';

const hooks = createHooks({ hooks: [planFileCreator()], clock: systemClock, logger: silentLogger });

async function seed(directory: string, described = task()) {
  const [outcome] = await hooks.run(context({ directory, task: described }));
  return outcome;
}

test('a workspace without a plan gets one with title, description and sections', async () => {
  const directory = await temporaryDirectory();
  const described = task({ description: 'First line.\r\nSecond \u001bline.' });
  expect(await seed(directory, described)).toMatchObject({ result: 'passed', message: 'wrote Plan.md' });
  expect(await readFile(join(directory, 'Plan.md'), 'utf8')).toBe(
    `# Add a login page\n\nTask \`${described.id}\`\n\n## Goal\n\nFirst line.\nSecond line.\n\n## Steps\n\n- [ ]\n\n` +
      '## Open questions\n\n## Done when\n\n- [ ]\n',
  );
});

test.each(['Plan.md', 'PLAN.md'])('a file %s that exists stays as it is', async (name) => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, name), 'mine');
  expect(await seed(directory)).toMatchObject({ result: 'passed', message: `kept ${name} as it is` });
  expect(await readdir(directory)).toEqual([name]);
  expect(await readFile(join(directory, name), 'utf8')).toBe('mine');
});

test('a link named Plan.md is not followed', async () => {
  const directory = await temporaryDirectory();
  const outside = join(await temporaryDirectory(), 'target');
  await symlink(outside, join(directory, 'Plan.md'));
  expect(await seed(directory)).toMatchObject({ result: 'passed' });
  await expect(readFile(outside)).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a workspace that is itself a link is refused', async () => {
  const directory = await temporaryDirectory();
  const link = join(await temporaryDirectory(), 'link');
  await symlink(directory, link);
  expect(await seed(link)).toMatchObject({ result: 'rejected' });
  expect(await readdir(directory)).toEqual([]);
});

test('a directory that is gone refuses the change', async () => {
  const directory = join(await temporaryDirectory(), 'gone');
  await mkdir(directory);
  await rm(directory, { recursive: true });
  expect(await seed(directory)).toMatchObject({ result: 'failed' });
});
