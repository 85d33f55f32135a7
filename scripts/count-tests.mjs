/*
 * node scripts/count-tests.mjs <report.json>
 *
 * Sums up the JSON report of vitest in one line. Exits 1 when a test or a file failed, when none ran, and when there is
 * no report: a run that executed nothing is not a pass.
 */
import { readFileSync } from 'node:fs';

const { passed, failed, skipped } = count(readReport(process.argv[2]));
process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
process.exitCode = passed > 0 && failed === 0 ? 0 : 1;

function readReport(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    process.stderr.write(`No test report: ${error.message}\n`);
    return { testResults: [], success: false };
  }
}

function count({ testResults, success }) {
  const statuses = testResults.flatMap(({ assertionResults }) => assertionResults.map(({ status }) => status));
  const passed = statuses.filter((status) => status === 'passed').length;
  const failedTests = statuses.filter((status) => status === 'failed').length;
  // A file that fails before or after its tests has no failed test of its own.
  const failedFiles = testResults.filter(
    ({ status, assertionResults }) =>
      status === 'failed' && assertionResults.every((assertion) => assertion.status !== 'failed'),
  ).length;
  const failed = failedTests + failedFiles;
  return {
    passed,
    failed: failed === 0 && !success ? 1 : failed,
    skipped: statuses.length - passed - failedTests,
  };
}
