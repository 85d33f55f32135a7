import type { RebuildReport, StoreMaintenance } from '@opencode-tools/core';
import { expect, test } from 'vitest';
import { runLine } from '../../test/run-line.ts';

const rebuilt: RebuildReport = {
  dryRun: false,
  tasks: 2,
  records: 10,
  epoch: 2,
  keptAside: null,
  lost: [{ subject: 'tsk_1', fault: 'It has no \u001b[31mfiles' }],
};

/** Answers of the maintenance that a test cares about. */
function maintaining(answers: Partial<StoreMaintenance>) {
  return { maintainHome: async () => answers as StoreMaintenance };
}

test('doctor --rebuild makes the registry again without opening the home, and says what is lost', async () => {
  const asked: unknown[] = [];
  const rebuild = async (options: unknown) => {
    asked.push(options);
    return rebuilt;
  };
  const line = await runLine(['doctor', '--rebuild'], {}, maintaining({ rebuild }));
  expect(asked).toEqual([{ dryRun: false }]);
  expect(line).toMatchObject({ code: 1, stderr: '' });
  expect(line.stdout).toContain('rebuilt 2 tasks from 10 records');
  expect(line.stdout).toMatch(/lost tsk_1: It has no [^\u001b]*files/);
});

test('db move takes the address from the variable that it names', async () => {
  const asked: unknown[] = [];
  const move: StoreMaintenance['move'] = async (options) => {
    asked.push(options);
    const counts = { rows: 5, chains: 1, records: 2 };
    return { ...counts, dryRun: true, from: 'a', to: 'b', epoch: null, keptAs: null, resumed: false };
  };
  const environment = { MINE: 'postgres://u:p@h/d' };
  const line = await runLine(
    ['db', 'move', 'postgres', '--url-from', 'MINE', '--dry-run'],
    {},
    { ...maintaining({ move }), environment },
  );
  const to = { engine: 'postgres', url: 'postgres://u:p@h/d', urlFrom: 'MINE' };
  expect(asked).toEqual([{ to, dryRun: true }]);
  expect(line).toMatchObject({ code: 0, stdout: expect.stringContaining('would move a to b') });
  expect(line.stdout).not.toContain('u:p');
});

test.each([[['db', 'move']], [['db', 'move', 'postgres', '--url-from', 'UNSET']]])(
  '%j is refused with what to do',
  async (argv) => {
    const line = await runLine(argv, {}, maintaining({}));
    expect(line).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('remedy') });
  },
);
