import { type Actor, type LeaseProof, OpencodeToolsError, prepareDraft } from '@opencode-tools/core';
import type { Plan } from '../query/plan.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { tokenLeap } from '../write/token-leap.ts';
import { activeLease, openOn } from './lease-plans.ts';

/** Raises the counter of a task past a token that another registry gave out, and past those that it may have given out since. */
export function* raiseTokensPlan(ctx: StoreContext, proof: LeaseProof, seen: number, actor: Actor): Plan<void> {
  const opened = yield* openOn(ctx, proof.taskId);
  yield* activeLease(proof);
  const state = opened.streams.get(proof.taskId);
  if (state === undefined) throw new OpencodeToolsError('OCT_INTERNAL', `Stream of ${proof.taskId} was not locked`);
  state.lastToken = Math.max(state.lastToken, seen) + tokenLeap;
  const detail = { seen, tokenFloor: state.lastToken };
  const { taskId: stream, token } = proof;
  yield* appendRecords(ctx, opened, [
    prepareDraft({ stream, type: 'lease.tokens_raised', actor, token, puts: [], detail }),
  ]);
}
