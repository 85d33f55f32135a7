import { expect, test } from 'vitest';
import { EngineError } from './engine-error.ts';
import { whyUnreachable } from './unreachable.ts';

const thrown = (message: string, cause?: object) =>
  new Error(`The engine at tcp://host:2375 is not available: ${message}`, { cause });

test.each([
  [thrown('connect ENETUNREACH 10.255.255.1:2375', { code: 'ENETUNREACH' }), 'its network cannot be reached'],
  [thrown('', { code: 'ETIMEDOUT', errors: [{ code: 'EHOSTUNREACH' }] }), 'the host does not answer'],
  [thrown('', { errors: [{ code: 'EHOSTUNREACH' }] }), 'the host cannot be reached'],
  [thrown('', { errors: [{ message: 'tried in vain' }] }), 'tried in vain'],
  [thrown('', { code: 'EODD' }), 'EODD'],
  [thrown('no answer within 3000 ms', new Error('aborted')), 'no answer within 3000 ms'],
  [thrown('', {}), 'it cannot be reached'],
  [new EngineError(503, ''), 'it answers with the HTTP status 503 and nothing else'],
  ['odd', 'odd'],
])('%s is told as %j', (error, reason) => {
  expect(whyUnreachable(error)).toBe(reason);
});
