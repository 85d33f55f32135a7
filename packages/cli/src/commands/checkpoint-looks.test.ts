import type { Checkpoint } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const point = {
  id: 'chk_0000000000000000000000000a',
  parentId: null,
  name: 'before\u001b[31m it',
  reason: 'why',
  agent: 'ada',
  workspace: { entries: 3, bytes: 2048, addedBytes: 10 },
  home: null,
  root: null,
  pinned: true,
  tags: ['v1'],
  ledger: { seq: 7 },
  createdAt: '2026-11-20T08:15:30.123Z',
  manifestDigest: 'abc',
} as unknown as Checkpoint;

test('checkpoints list and show say what there is, without control characters', async () => {
  const answers = { checkpoints: { list: async () => [point], get: async () => point } };
  const list = await runLine(['checkpoints', 'list', 't'], answers);
  expect(list.stdout).toContain('0000000a    2026-11-20 08:15:30Z      3  2.0 KiB  pinned, v1  before it');
  const show = await runLine(['checkpoints', 'show', 't', 'before'], answers);
  expect(show.stdout).toContain('record 7');
  expect(show.stdout).not.toContain('\u001b');
});

test('checkpoints diff shows kinds, modes and sizes, and what lies in the home directory', async () => {
  const asked: unknown[] = [];
  const side = { kind: 'file', mode: 0o644, uid: 1, gid: 1, sizeBytes: 5 } as const;
  const compare = async (...argv: unknown[]) => {
    asked.push(argv);
    return {
      from: point,
      to: point,
      workspace: [
        { path: 'a', pathBytes: null, change: 'modified', from: side, to: { ...side, mode: 0o755 } },
        { path: 'b\nc', pathBytes: null, change: 'added', from: null, to: { ...side, kind: 'symlink', sizeBytes: 0 } },
      ],
      home: [{ path: 'd', pathBytes: null, change: 'deleted', from: side, to: null }],
      rootDiffers: true,
    } as const;
  };
  const line = await runLine(['checkpoints', 'diff', 't', 'one', 'two'], { checkpoints: { compare } });
  expect(asked).toEqual([[taskId, 'one', 'two']]);
  expect(line.stdout.split('\n').slice(1)).toEqual([
    'M a  file 644 5 B -> file 755 5 B',
    "A $'b\\nc'  symlink 644",
    'D ~/d  file 644 5 B',
    'the root file systems are different images',
    '',
  ]);
});

test('checkpoints verify ends with 8 when something is damaged, and names it', async () => {
  const object = 'snp_1';
  const damage = [{ part: 'workspace', object, message: 'damaged at src/a: its bytes changed' }] as const;
  const answer = (found: typeof damage | []) => ({
    checkpoints: { check: async () => [{ checkpoint: point, damage: found }] },
  });
  const bad = await runLine(['checkpoints', 'verify', 't'], answer(damage));
  expect(bad).toMatchObject({ code: 8, stdout: expect.stringContaining('workspace snp_1: damaged at src/a') });
  const good = await runLine(['checkpoints', 'verify', 't', 'before', '--json'], answer([]));
  expect(good.code).toBe(0);
  expect(JSON.parse(good.stdout)).toMatchObject({ sound: true });
});

test('checkpoints tag, pin and delete pass on what was named, under the session', async () => {
  const asked: unknown[][] = [];
  const seen = (...argv: unknown[]) => {
    asked.push(argv.slice(0, -1));
    return Promise.resolve(point);
  };
  const checkpoints = {
    tag: seen,
    untag: seen,
    pin: seen,
    delete: async (...argv: unknown[]) => ({ dryRun: true, checkpoint: await seen(...argv) }),
  };
  const sessionId = 'ses_00000000000000000000000001';
  const sessions = { get: async () => ({ taskId, agent: 'ada' }) as never };
  const run = (...argv: string[]) =>
    runLine(['checkpoints', ...argv, '--session', sessionId], { checkpoints, sessions });
  expect((await run('tag', 't', 'before', 'v1')).stdout).toBe('tagged 0000000a before it (v1)\n');
  await run('untag', 't', 'v1');
  await run('pin', 't', 'before');
  await run('unpin', 't', 'before');
  expect((await run('delete', 't', 'before', '--dry-run')).stdout).toContain('would delete 0000000a');
  expect(asked).toEqual([
    [taskId, 'before', 'v1', { sessionId }],
    [taskId, 'v1', { sessionId }],
    [taskId, 'before', true, { sessionId }],
    [taskId, 'before', false, { sessionId }],
    [taskId, 'before', { sessionId, dryRun: true }],
  ]);
});
