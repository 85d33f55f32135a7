import type { StreamId } from '@opencode-tools/core';
import { type Plan, firstRow } from '../query/plan.ts';
import type { StoreContext } from '../write/context.ts';
import { withArguments } from './raw.ts';

/** The last record that pruning took from a chain; 0 for a whole one, undefined where there is no chain. */
export function* baseSeqOf(ctx: StoreContext, stream: StreamId): Plan<number | undefined> {
  const pieces = ['select base_seq from streams where stream = ', ''];
  return (yield* firstRow(withArguments<{ base_seq: number }>(ctx.engine.traits.engine, pieces, [stream])))?.base_seq;
}
