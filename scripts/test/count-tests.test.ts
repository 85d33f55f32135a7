import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { runNode, script } from './run-node.ts';

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'count-tests-'));
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

function count(report: unknown) {
  const file = join(directory, 'report.json');
  if (report !== undefined) writeFileSync(file, JSON.stringify(report));
  return runNode([script('count-tests.mjs'), file]);
}

function file(status: string, ...tests: readonly string[]) {
  return { status, assertionResults: tests.map((each) => ({ status: each })) };
}

describe('the count of tests', () => {
  test('passes when tests ran and none failed', async () => {
    const outcome = await count({ success: true, testResults: [file('passed', 'passed', 'passed', 'skipped')] });
    expect(outcome).toMatchObject({ exitCode: 0, stdout: '2 passed, 0 failed, 1 skipped\n' });
  });

  test('fails when a test failed', async () => {
    const outcome = await count({ success: false, testResults: [file('failed', 'passed', 'failed')] });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '1 passed, 1 failed, 0 skipped\n' });
  });

  test('counts a file that failed outside its tests', async () => {
    const outcome = await count({ success: false, testResults: [file('failed', 'passed'), file('failed')] });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '1 passed, 2 failed, 0 skipped\n' });
  });

  test('fails when no test ran', async () => {
    const outcome = await count({ success: true, testResults: [file('passed', 'skipped')] });
    expect(outcome).toMatchObject({ exitCode: 1, stdout: '0 passed, 0 failed, 1 skipped\n' });
  });

  test('fails without a report', async () => {
    expect(await count(undefined)).toMatchObject({ exitCode: 1, stdout: '0 passed, 1 failed, 0 skipped\n' });
  });
});
