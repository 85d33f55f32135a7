import { type FollowRecords, OpencodeToolsError } from '@opencode-tools/core';
import { type RawBuilder, sql } from 'kysely';
import { type Plan, type Statement, adHoc, allRows, firstRow } from '../query/plan.ts';
import { template } from '../query/template.ts';
import type { Traits } from '../query/traits.ts';
import { type RecordRow, recordColumns } from '../rows/record-row.ts';

/**
 * Where a follower is. It reads windows of transactions: a window takes in all from one number up to those that had ended
 * when it was opened, so nothing can be added to it any more, and within it records lie in the order of their streams. It ends
 * before a transaction whose record follows one of a later transaction in its stream: both are in a window to come.
 * Where transactions end in the order in which they insert there are no windows, and the position alone counts.
 */
export interface FollowPosition {
  readonly epoch: number;
  /** First transaction of the window. */
  readonly from: string;
  /** First transaction after the window; equal to `from` between windows. */
  readonly to: string;
  /** Last position read. */
  readonly position: number;
}

export type PositionedRow = RecordRow & { readonly position: number };

const followStart: FollowPosition = { epoch: 0, from: '0', to: '0', position: 0 };

const kind = 'follow';

export function encodeFollow({ epoch, from, to, position }: FollowPosition): string {
  return Buffer.from(JSON.stringify([kind, epoch, from, to, position])).toString('base64url');
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for what is no such cursor, or of another epoch. */
export function decodeFollow(cursor: string | null, epoch: number): FollowPosition {
  if (cursor === null) return { ...followStart, epoch };
  const [found, of, from, to, position] = parse(cursor);
  const valid =
    found === kind && isNumber(of) && isTransaction(from) && isTransaction(to) && isNumber(position) && position >= 0;
  if (!valid) {
    throw new OpencodeToolsError(
      'OCT_INVALID_ARGUMENT',
      `Not a cursor of the ledger: ${JSON.stringify(cursor.slice(0, 80))}`,
      {
        remedy: 'Pass `cursor` of the call before, or null to begin with the oldest record.',
        details: { argument: 'after' },
      },
    );
  }
  if (of === epoch) return { epoch, from, to, position };
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `The cursor is of epoch ${of}; the registry is in epoch ${epoch}`,
    {
      remedy:
        'The registry was restored, rebuilt or moved: begin anew with null and skip what is known by stream and seq.',
      details: { argument: 'after', epoch, cursorEpoch: of },
    },
  );
}

/** Reads on from a position; the position returned is past the rows. */
export function* readOn(
  traits: Traits,
  at: FollowPosition,
  limit: number,
  streams: FollowRecords['streams'],
): Plan<{ readonly rows: readonly PositionedRow[]; readonly at: FollowPosition }> {
  const { endedBefore } = traits;
  if (endedBefore === null) {
    // Read first: past what is left out of this page, nothing is left out but by the filter.
    const last = streams === undefined ? null : ((yield* firstRow(selectLast(null)))?.last ?? 0);
    const rows = yield* allRows(pageAfter(at, limit, streams));
    const end = rows.at(-1)?.position ?? at.position;
    return { rows, at: { ...at, position: last === null || rows.length === limit ? end : Math.max(last, end) } };
  }
  if (at.from !== at.to) {
    const rows = yield* allRows(pageOfWindow(at, limit, streams));
    if (rows.length === limit) return { rows, at: { ...at, position: rows.at(-1)?.position ?? at.position } };
    const past = { ...at, from: at.to, position: 0 };
    if (rows.length > 0) return { rows, at: past };
    return yield* readOn(traits, past, limit, streams);
  }
  const window = yield* openWindow(at, endedBefore);
  return window.from === window.to ? { rows: [], at: window } : yield* readOn(traits, window, limit, streams);
}

/** True when `readOn` would find something, as far as that can be told cheaply. */
export function* hasMore(traits: Traits, at: FollowPosition): Plan<boolean> {
  if (traits.endedBefore === null) return (yield* allRows(pageAfter(at, 1, undefined))).length > 0;
  if (at.from !== at.to) return true;
  const { to, from } = yield* openWindow(at, traits.endedBefore);
  return from !== to;
}

/** The position past everything that has ended. */
export function* endPosition({ endedBefore }: Traits, epoch: number): Plan<FollowPosition> {
  if (endedBefore === null) return { ...followStart, epoch, position: (yield* firstRow(selectLast(null)))?.last ?? 0 };
  const ended = yield* readEnded(endedBefore);
  return { epoch, from: ended, to: ended, position: 0 };
}

/** The next window, from its first record on; an empty one when nothing has ended since. */
function* openWindow(at: FollowPosition, endedBefore: RawBuilder<string>): Plan<FollowPosition> {
  const ended = yield* readEnded(endedBefore);
  if (BigInt(ended) <= BigInt(at.from)) return at;
  const to = yield* lastInTurn(at.from, ended);
  if (to === at.from) return at;
  if (at.from === '0') return { ...at, to, position: 0 };
  const first = (yield* firstRow(firstOfWindow(at.from, to)))?.first ?? null;
  return first === null ? { ...at, from: to, to } : { ...at, to, position: first - 1 };
}

/**
 * Where a window has to end at the latest. A transaction gets its number when it begins to write, and may then wait for a stream
 * until others with higher numbers have written to it.
 */
function* lastInTurn(from: string, ended: string): Plan<string> {
  for (let to = ended; ;) {
    const first = yield* firstRow(earliestOutOfTurn(from, to));
    if (first === undefined) return to;
    to = first.cut;
  }
}

function earliestOutOfTurn(from: string, to: string): Statement<{ cut: string }> {
  return adHoc(({ db }) =>
    db
      .with('later', (query) =>
        query
          .selectFrom('ledger')
          .select(({ fn }) => ['stream' as const, fn.min<number>('seq').as('first')])
          .where(sql<boolean>`transaction_id >= cast(${to} as xid8)`)
          .groupBy('stream'),
      )
      .selectFrom('later')
      .innerJoin('ledger', 'ledger.stream', 'later.stream')
      .select(sql<string>`ledger.transaction_id`.as('cut'))
      .whereRef('ledger.seq', '>', 'later.first')
      .where(inWindow(from, to))
      .orderBy('cut')
      .limit(1),
  );
}

function* readEnded(endedBefore: RawBuilder<string>): Plan<string> {
  const row = yield* firstRow(adHoc(({ db }) => db.selectNoFrom(endedBefore.as('ended'))));
  return row?.ended ?? '0';
}

function pageAfter({ position }: FollowPosition, limit: number, streams: FollowRecords['streams']) {
  return adHoc(({ db }) =>
    db
      .selectFrom('ledger')
      .select([...recordColumns, 'position'])
      .where('position', '>', position)
      .$if(streams !== undefined, (query) => query.where('stream', 'in', streams ?? []))
      .orderBy('position')
      .limit(limit),
  ) as Statement<PositionedRow>;
}

function pageOfWindow({ from, to, position }: FollowPosition, limit: number, streams: FollowRecords['streams']) {
  return adHoc(({ db }) =>
    db
      .selectFrom('ledger')
      .select([...recordColumns, 'position'])
      .where('position', '>', position)
      .where(inWindow(from, to))
      .$if(streams !== undefined, (query) => query.where('stream', 'in', streams ?? []))
      .orderBy('position')
      .limit(limit),
  ) as Statement<PositionedRow>;
}

/** Reads the window alone: the planner would rather walk all positions up to it. */
function firstOfWindow(from: string, to: string): Statement<{ first: number | null }> {
  return adHoc(({ db }) =>
    db
      .selectFrom((eb) => eb.selectFrom('ledger').select('position').where(inWindow(from, to)).offset(0).as('part'))
      .select(({ fn }) => fn.min<number | null>('position').as('first')),
  );
}

function inWindow(from: string, to: string): RawBuilder<boolean> {
  return sql`transaction_id >= cast(${from} as xid8) and transaction_id < cast(${to} as xid8)`;
}

const selectLast = template<null>()(({ db }) =>
  db.selectFrom('ledger').select(({ fn }) => fn.max<number | null>('position').as('last')),
);

function parse(cursor: string): readonly unknown[] {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    return [];
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value);
}

function isTransaction(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value);
}
