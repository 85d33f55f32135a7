import { parseId } from '@opencode-tools/core';
import * as z from 'zod/v4';
import { defineTool } from '../tool.ts';
import { sessionId, unlistedKey } from './fields.ts';

export const releaseClaims = defineTool({
  name: 'release_claims',
  title: 'Release claims',
  description: 'Give up one claim, or all of your session.',
  annotations: { idempotentHint: true },
  input: z.strictObject({
    session_id: sessionId,
    claim_id: z
      .string()
      .max(60)
      .transform((text) => parseId('claim', text))
      .optional(),
    idempotency_key: unlistedKey,
  }),
  output: z.object({ released: z.array(z.string()) }),
  async run({ session_id: id, claim_id: claimId, idempotency_key: key }, context) {
    const call = await context.call({ sessionId: id }, key);
    const options = claimId === undefined ? {} : { claimId };
    const released = await context.home.services.sessions.releaseClaims(id, options, call);
    return { text: `Released ${released.length} claims.`, data: { released: released.map((claim) => claim.id) } };
  },
});
