import { readFileSync } from 'node:fs';
import { type Plan, allRows } from '../query/plan.ts';
import { raw } from './raw.ts';
import { streamsWithLogs } from './roll-forward.ts';

/** The token counters of a registry, by stream. */
export function* readTokens(): Plan<ReadonlyMap<string, number>> {
  const rows = yield* allRows(raw<{ stream: string; last_token: number }>('select stream, last_token from streams'));
  return new Map(rows.map((row) => [row.stream, row.last_token]));
}

/** The token counters that the state files of a home tell, for when there is no registry to ask. */
export function tokensInFiles(directory: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  for (const [stream, place] of streamsWithLogs(directory)) {
    const token = stream === 'home' ? undefined : stateOf(place)?.counters?.lastToken;
    if (typeof token === 'number') found.set(stream, token);
  }
  return found;
}

interface State {
  readonly counters?: { readonly lastToken?: unknown };
  readonly ledger?: { readonly seq?: unknown };
}

/** What a state file says; undefined when it cannot be read. Its digest is not asked: a larger token does no harm. */
export function stateOf(directory: string): State | undefined {
  try {
    return JSON.parse(readFileSync(`${directory}/state.json`, 'utf8')) as State;
  } catch {
    return undefined;
  }
}
