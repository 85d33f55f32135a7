import type { FileChanged } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { noticeLines } from '../text/notice-lines.ts';
import { outsideClaimsField, outsideClaimsLines } from '../text/outside-claims.ts';
import { defineTool } from '../tool.ts';
import { count, optionalSessionId, path, taskId, unlistedKey } from './fields.ts';

const digest = z.string().max(64).optional();

/** What every change of a file gives back. */
const changed = {
  path: z.string(),
  size_bytes: count,
  digest: z.string(),
  outside_claims: z.array(z.string()).optional(),
};

export const writeFile = defineTool({
  name: 'write_file',
  title: 'Write a file of a task',
  description: 'Write a text file and its directories.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    path,
    text: z.string().max(10_000_000),
    create: z.boolean().optional().describe('Refuse when it exists'),
    expected_digest: digest,
    idempotency_key: unlistedKey,
  }),
  output: z.object({ ...changed, created: z.boolean() }),
  async run({ task_id, session_id, path: at, text, create, expected_digest, idempotency_key }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({ sessionId: session_id }, idempotency_key);
    const expect = create === true ? ({ kind: 'absent' } as const) : expectation(expected_digest);
    const written = await context.home.services.files.write(
      id,
      { path: at, content: Buffer.from(text), ...under(session_id), ...(expect === undefined ? {} : { expect }) },
      call,
    );
    const { sizeBytes: size_bytes, created } = written;
    const data = { ...describe(written), size_bytes, digest: written.digest, created };
    return { text: sentence(written, `${created ? 'Created' : 'Replaced'} ${data.path}, ${size_bytes} bytes.`), data };
  },
});

export const editFile = defineTool({
  name: 'edit_file',
  title: 'Edit a file of a task',
  description: 'Replace exact text in a file; it occurs once, or count times.',
  annotations: { destructiveHint: true },
  input: z.strictObject({
    task_id: taskId,
    session_id: optionalSessionId,
    path,
    old_text: z.string().min(1).max(1_000_000),
    new_text: z.string().max(1_000_000),
    count: z.int().min(1).max(1_000_000).optional(),
    expected_digest: digest,
    idempotency_key: unlistedKey,
  }),
  output: z.object({ ...changed, replaced: count }),
  async run({ task_id, session_id, path: at, old_text, new_text, count: times = 1, ...args }, context) {
    const id = await context.taskId(task_id);
    const call = await context.call({ sessionId: session_id }, args.idempotency_key);
    const expected = args.expected_digest === undefined ? {} : { expectedDigest: args.expected_digest };
    const edits = [{ oldText: old_text, newText: new_text, count: times }];
    const edited = await context.home.services.files.edit(
      id,
      { path: at, edits, ...under(session_id), ...expected },
      call,
    );
    const { sizeBytes: size_bytes, digest: now, replaced } = edited;
    const data = { ...describe(edited), size_bytes, digest: now, replaced };
    return { text: sentence(edited, `Replaced ${replaced} in ${data.path}, now ${size_bytes} bytes.`), data };
  },
});

function under<Id>(sessionId: Id | undefined): { readonly sessionId?: Id } {
  return sessionId === undefined ? {} : { sessionId };
}

function expectation(expected: string | undefined) {
  return expected === undefined ? undefined : ({ kind: 'digest', digest: expected } as const);
}

function describe({ path: at, outsideClaims }: FileChanged) {
  return { path: at.toWellFormed(), ...outsideClaimsField(outsideClaims) };
}

function sentence({ outsideClaims, notices = [] }: FileChanged, done: string): string {
  return [...noticeLines(notices), done, ...outsideClaimsLines(outsideClaims)].join('\n');
}
