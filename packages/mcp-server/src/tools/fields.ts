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
export const agentName = z.string().min(1).max(100);
export const count = z.int().nonnegative();
export const expectedVersion = z.int().min(1).optional().describe('Refused or merged if it changed');
export const globs = z.array(z.string().min(1).max(500)).max(100);
/** In the sandbox. */
export const path = z.string().min(1).max(4_096);
