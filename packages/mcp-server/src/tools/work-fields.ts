import * as z from 'zod/v4';

/** Parts of the results of tools that bring work out. */
export const conflictsField = z.array(z.object({ path: z.string(), reason: z.string() }));
export const tripwireFields = z.array(z.object({ path: z.string(), rule: z.string(), why: z.string() }));
