import { expect, test } from 'vitest';
import { type ErrorCode, describeError, errorCatalogue, errorFamilies, exitCodeFor } from './error-catalogue.ts';

/** Each code with its family, exit code, and whether the same call may succeed later. */
const pinned = `
OCT_CANCELLED limit 7 final
OCT_CAPABILITY_UNSUPPORTED policy 5 final
OCT_CHECKPOINT_CORRUPT integrity 8 final
OCT_CHECKPOINT_NOT_FOUND not-found 3 final
OCT_CLAIM_OVERLAP conflict 4 retryable
OCT_EGRESS_DENIED policy 5 final
OCT_ENGINE_FAILED unavailable 6 retryable
OCT_ENGINE_UNAVAILABLE unavailable 6 retryable
OCT_EXECUTION_NOT_FOUND not-found 3 final
OCT_FILE_NOT_FOUND not-found 3 final
OCT_FILE_REFUSED policy 5 final
OCT_HOOK_REJECTED policy 5 final
OCT_IDEMPOTENCY_MISMATCH conflict 4 final
OCT_IMAGE_NOT_FOUND not-found 3 final
OCT_IMAGE_PULL_FAILED unavailable 6 retryable
OCT_INTERNAL internal 70 final
OCT_INVALID_ARGUMENT input 2 final
OCT_INVALID_CONFIG input 2 final
OCT_INVALID_TRANSITION conflict 4 final
OCT_LEASE_HELD conflict 4 retryable
OCT_LEASE_LOST conflict 4 final
OCT_LEDGER_BROKEN integrity 8 final
OCT_PATH_OUTSIDE_WORKSPACE input 2 final
OCT_POLICY_DENIED policy 5 final
OCT_RESOURCE_LIMIT limit 7 final
OCT_SANDBOX_NOT_FOUND not-found 3 final
OCT_SCHEMA_TOO_NEW unavailable 6 final
OCT_SESSION_NOT_FOUND not-found 3 final
OCT_SHELL_ENDED not-found 3 final
OCT_STALE_FENCING_TOKEN conflict 4 final
OCT_STATE_CORRUPT integrity 8 final
OCT_STORE_READ_ONLY unavailable 6 final
OCT_STORE_UNAVAILABLE unavailable 6 retryable
OCT_TASK_EXISTS conflict 4 final
OCT_TASK_NOT_FOUND not-found 3 final
OCT_TASK_ON_OTHER_HOST unavailable 6 final
OCT_TIMEOUT limit 7 retryable
OCT_VERSION_CONFLICT conflict 4 retryable
OCT_WORKSPACE_LOST integrity 8 final
`;

const codes = (Object.keys(errorCatalogue) as ErrorCode[]).toSorted();

test('codes, families, exit codes and retryability are the pinned ones', () => {
  const lines = codes.map((code) => {
    const { family, retryable } = describeError(code);
    return `${code} ${family} ${exitCodeFor(code)} ${retryable ? 'retryable' : 'final'}\n`;
  });
  expect(`\n${lines.join('')}`).toBe(pinned);
});

test('the families have the pinned exit codes', () => {
  expect(errorFamilies).toEqual({
    input: { exitCode: 2 },
    'not-found': { exitCode: 3 },
    conflict: { exitCode: 4 },
    policy: { exitCode: 5 },
    unavailable: { exitCode: 6 },
    limit: { exitCode: 7 },
    integrity: { exitCode: 8 },
    internal: { exitCode: 70 },
  });
});

test.each(codes)('%s has a remedy of one line that ends with a period, and a heading', (code) => {
  const { remedy, heading } = describeError(code);
  expect(remedy).toMatch(/^[A-Z][^\n]*\.$/);
  expect(remedy).toBe(remedy.trim());
  expect(heading).toBe(code.slice(4).toLowerCase().replaceAll('_', '-'));
});
