import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const facts = { path: '/workspace/a', type: 'symlink', mode: 0o777, uid: 1000, gid: 1000, sizeBytes: 7, modifiedMs: 0 };

test('files stat shows what a path is and where it leads', async () => {
  const asked: unknown[] = [];
  const stat = async (...given: unknown[]) => {
    asked.push(...given.slice(0, 2));
    return { ...facts, target: '../b\u001b[1m', real: null } as never;
  };
  const line = await runLine(['files', 'stat', 'x', 'a'], { files: { stat } });
  expect(asked).toEqual([taskId, { path: 'a' }]);
  expect(line).toMatchObject({ code: 0, stderr: '' });
  expect(line.stdout).toContain('l0777');
  expect(line.stdout).toContain('owner 1000:1000, 7 bytes');
  expect(line.stdout).toContain('which does not exist');
  expect(line.stdout).not.toContain('\u001b');
});

test('files stat says nothing of links where there is none', async () => {
  const stat = async () => ({ ...facts, type: 'file', target: null, real: '/workspace/a' }) as never;
  expect((await runLine(['files', 'stat', 'x', 'a'], { files: { stat } })).stdout).not.toContain('link to');
});
