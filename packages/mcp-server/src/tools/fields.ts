import { parseId } from '@opencode-tools/core';
import * as z from 'zod/v4';

/** Arguments that several tools share. Descriptions are read by a model on every turn: they hold what a name cannot say. */
export const taskId = z.string().min(1).max(200);
export const sessionId = z
  .string()
  .max(60)
  .transform((text) => parseId('session', text));
export const optionalSessionId = sessionId.optional();
export const idempotencyKey = z.string().min(1).max(180).optional();
/** For arguments that a program needs rather than a model: documented and checked, but not listed to clients. */
export const unlisted = { unlisted: true } as const;
/** Every changing tool takes a key; it is listed where a repetition costs most. */
export const unlistedKey = idempotencyKey.meta(unlisted);
export const agentName = z.string().min(1).max(100);
export const count = z.int().nonnegative();
export const expectedVersion = z.int().min(1).optional();
export const globs = z.array(z.string().min(1).max(500)).max(100);
/** Id, short id, tag or name. */
export const checkpoint = z.string().min(1).max(100);
/** In the sandbox. */
export const path = z.string().min(1).max(4_096);
