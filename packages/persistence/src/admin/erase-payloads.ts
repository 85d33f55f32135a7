import { type Actor, OpencodeToolsError, type StreamId, prepareDraft } from '@opencode-tools/core';
import { firstRow } from '../query/plan.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import { withArguments } from './raw.ts';

/** Takes the payloads of records out of the rows; the chain, which covers only their digests, stays whole. */
export async function erasePayloads(
  ctx: StoreContext,
  stream: StreamId,
  seqs: readonly number[],
  why: { readonly reason: string; readonly actor: Actor },
): Promise<void> {
  const wanted = [...new Set(seqs)].toSorted((left, right) => left - right);
  await ctx.engine.write(function* () {
    const opened = yield* openTransaction(ctx, new Map([[stream, ctx.homeId]]));
    const { engine } = ctx.engine.traits;
    for (const seq of wanted) {
      const row = yield* firstRow(
        withArguments<{ type: string }>(
          engine,
          ['select type from ledger where stream = ', ' and seq = ', ''],
          [stream, seq],
        ),
      );
      if (row === undefined || row.type === 'payload.erased') throw notErasable(stream, seq, row?.type);
      yield withArguments(
        engine,
        ['update ledger set payload = null where stream = ', ' and seq = ', ''],
        [stream, seq],
      );
    }
    const detail = { seqs: wanted, reason: why.reason };
    yield* appendRecords(ctx, opened, [
      prepareDraft({ stream, type: 'payload.erased', actor: why.actor, puts: [], detail }),
    ]);
  });
  ctx.onAppended([stream]);
}

function notErasable(stream: StreamId, seq: number, type: string | undefined): OpencodeToolsError {
  const why = type === undefined ? 'does not exist' : `is ${type}, which says what was erased`;
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Record ${seq} of ${stream} ${why}`, {
    remedy: 'Name records that `opencode-tools task-history` shows.',
    details: { argument: 'seqs', stream, seq },
  });
}
