import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { tester as call, useTestHome } from './support/test-home.ts';

const bed = useTestHome();

test('a sandbox starts again while what is just being started elsewhere still has a copy of its mounts', async () => {
  const { executions, tasks } = bed.open.services;
  const { id } = await tasks.create({ title: 'pinned', image: bed.home.image }, call);
  const run = async (script: string): Promise<string> =>
    (await executions.run(id, { command: { kind: 'script', script } }, call)).stdout.text;
  await run('echo kept >file');
  const copying = ['--user', '--map-root-user', '--mount', '--propagation', 'private', 'sh', '-c', 'echo; sleep 1.5'];
  const copy = spawn('unshare', copying, { stdio: ['ignore', 'pipe', 'inherit'] });
  const over = once(copy, 'exit');
  await once(copy.stdout, 'data');
  await tasks.stop(id, {}, call);
  expect(await run('cat file')).toBe('kept\n');
  expect(await over).toEqual([0, null]);
  await tasks.delete(id, { force: true }, call);
});
