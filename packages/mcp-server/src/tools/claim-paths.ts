import type { Claim, ClaimGrant } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { redactHandles } from '../redact-handles.ts';
import { defineTool } from '../tool.ts';
import { globs, sessionId, unlistedKey } from './fields.ts';

export const claimOutput = z.object({
  claim_id: z.string(),
  agent: z.string(),
  write: z.array(z.string()),
  read: z.array(z.string()),
});
export const overlapOutput = z.object({
  glob: z.string(),
  other_glob: z.string(),
  path: z.string(),
  agent: z.string(),
});

export const claimPaths = defineTool({
  name: 'claim_paths',
  title: 'Claim paths',
  description: 'In a shared task, say first what you will write and read.',
  input: z.strictObject({
    session_id: sessionId,
    write: globs.optional(),
    read: globs.optional(),
    idempotency_key: unlistedKey,
  }),
  output: claimOutput.extend({ overlaps: z.array(overlapOutput) }),
  async run({ session_id: id, write = [], read = [], idempotency_key: key }, context) {
    const call = await context.call({ sessionId: id }, key);
    const grant = await context.home.services.sessions.claim(id, { write, read }, call);
    const data = { ...claimData(grant.claim), overlaps: overlapsOf(grant) };
    const overlaps = data.overlaps.map((each) => `Overlaps: ${overlapText(each)}`);
    return { text: [`Claimed as ${data.claim_id}.`, ...overlaps].join('\n'), data };
  },
});

export function claimData({ id, agent, write, read }: Claim) {
  return { claim_id: id, agent, write: [...write], read: [...read] };
}

export function overlapsOf({ overlaps }: ClaimGrant) {
  return redactHandles(
    overlaps.map(({ glob, otherGlob, path, agent }) => ({ glob, other_glob: otherGlob, path, agent })),
  );
}

export function overlapText({ glob, other_glob: otherGlob, agent }: z.output<typeof overlapOutput>): string {
  return `${glob} with ${otherGlob} of ${agent}`;
}
