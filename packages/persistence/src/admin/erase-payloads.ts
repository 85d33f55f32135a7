import { type Actor, OpencodeToolsError, type StreamId, prepareDraft } from '@opencode-tools/core';
import { type Plan, firstRow } from '../query/plan.ts';
import { appendRecords } from '../write/append.ts';
import type { StoreContext } from '../write/context.ts';
import { openTransaction } from '../write/open-transaction.ts';
import type { EngineName } from '../query/traits.ts';
import { parsedPuts } from './own-rows.ts';
import { withArguments } from './raw.ts';

/**
 * Takes the payloads of records out of the rows; the chain, which covers only their digests, stays whole. A message goes along: no
 * verb changes it.
 */
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
        withArguments<{ type: string; payload: string | null }>(
          engine,
          ['select type, payload from ledger where stream = ', ' and seq = ', ''],
          [stream, seq],
        ),
      );
      if (row === undefined || row.type === 'payload.erased') throw notErasable(stream, seq, row?.type);
      if (row.type === 'message.added' && row.payload !== null) yield* removeMessages(engine, stream, row.payload);
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

function* removeMessages(engine: EngineName, stream: StreamId, payload: string): Plan<void> {
  for (const { noun, value } of parsedPuts(payload) ?? []) {
    if (noun !== 'message') continue;
    for (const [table, key] of [
      ['messages', 'id'],
      ['search_documents', 'entity_id'],
    ])
      yield withArguments(engine, [`delete from ${table} where ${key} = `, ' and task_id = ', ''], [value.id, stream]);
  }
}

function notErasable(stream: StreamId, seq: number, type: string | undefined): OpencodeToolsError {
  const why = type === undefined ? 'does not exist' : `is ${type}, which says what was erased`;
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Record ${seq} of ${stream} ${why}`, {
    remedy: 'Name records that `opencode-tools task-history` shows.',
    details: { argument: 'seqs', stream, seq },
  });
}
