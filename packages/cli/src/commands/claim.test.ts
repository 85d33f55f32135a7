import { expect, test } from 'vitest';
import { runLine, taskId } from '../../test/run-line.ts';

const sessionId = 'ses_00000000000000000000000001';
const claim = { id: 'clm_0000000000000000000000000a', agent: 'ada', write: ['src/**'], read: ['docs/*'] } as never;
const attached = async () => ({ taskId, agent: 'ada' }) as never;
const overlap = { glob: 'src/**', otherGlob: 'src/a', agent: 'bob\u001b[31m' } as never;

test('claim add asks for what its options say under the session, and shows what it overlaps', async () => {
  const asked: unknown[] = [];
  const claimed = async (session: unknown, request: unknown) => {
    asked.push(session, request);
    return { claim, overlaps: [overlap] };
  };
  const argv = ['claim', 'add', '--session', sessionId, '--write', 'src/**', '--write', 'b', '--read', 'docs/*'];
  const line = await runLine(argv, { sessions: { claim: claimed, get: attached } });
  expect(line.stderr).toBe('');
  expect(asked).toEqual([sessionId, { write: ['src/**', 'b'], read: ['docs/*'] }]);
  expect(line).toMatchObject({ code: 0, stderr: '' });
  expect(line.stdout).toBe('claimed 0000000a to write src/**, to read docs/*\noverlaps src/** with src/a of bob\n');
});

test('claim add without a session says how to get one', async () => {
  const line = await runLine(['claim', 'add', '--write', 'a'], { sessions: {} });
  expect(line.code).toBe(2);
  expect(line.stderr).toContain('resume-task');
});

test('claim list shows who writes and reads what', async () => {
  const line = await runLine(['claim', 'list', 'x'], { sessions: { claims: async () => [claim] } });
  expect(line.stdout).toContain('ada');
  expect(line.stdout).toContain('src/**');
  expect((await runLine(['claim', 'list', 'x'], { sessions: { claims: async () => [] } })).stdout).toBe('No claims.\n');
});

test('claim release gives up all, or the one that is named by its short id', async () => {
  const asked: unknown[] = [];
  const sessions = {
    get: attached,
    claims: async () => [claim],
    releaseClaims: async (_session: unknown, options: unknown) => {
      asked.push(options);
      return [claim];
    },
  };
  const release = (...more: readonly string[]) =>
    runLine(['claim', 'release', '--session', sessionId, ...more], { sessions });
  expect((await release()).stdout).toBe('released 1 claim\n');
  await release('--claim', '0000000a');
  expect(asked).toEqual([{}, { claimId: 'clm_0000000000000000000000000a' }]);
  expect((await release('--claim', '0000000b')).code).toBe(2);
});
