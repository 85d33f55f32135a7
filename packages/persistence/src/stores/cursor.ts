import { OpencodeToolsError, type PageRequest } from '@opencode-tools/core';

const defaultLimit = 50;
const largestLimit = 500;

/** Where a page starts: after the row with this sort value and id. */
export interface CursorPosition {
  readonly value: string;
  readonly id: string;
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` for a limit out of 1 to 500. */
export function pageLimit(page: PageRequest | undefined): number {
  const limit = page?.limit ?? defaultLimit;
  if (Number.isInteger(limit) && limit >= 1 && limit <= largestLimit) return limit;
  throw new OpencodeToolsError('OCT_INVALID_ARGUMENT', `Not a page size: ${limit}`, {
    remedy: `Give a whole number from 1 to ${largestLimit}.`,
    details: { argument: 'limit' },
  });
}

/** Makes the opaque text that a caller passes back for the next page. */
export function encodeCursor(kind: string, position: CursorPosition): string {
  return Buffer.from(JSON.stringify([kind, position.value, position.id])).toString('base64url');
}

/** @throws OpencodeToolsError `OCT_INVALID_ARGUMENT` when the text is no cursor of this kind of page. */
export function decodeCursor(kind: string, cursor: string | undefined): CursorPosition | null {
  if (cursor === undefined) return null;
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(parsed) && parsed[0] === kind) {
      const [, value, id] = parsed as readonly unknown[];
      if (typeof value === 'string' && typeof id === 'string') return { value, id };
    }
  } catch {
    // Answered below like every other text that is no cursor.
  }
  throw new OpencodeToolsError(
    'OCT_INVALID_ARGUMENT',
    `Not a cursor of this list: ${JSON.stringify(cursor.slice(0, 80))}`,
    {
      remedy: 'Pass `next` of the page before, with the same order.',
      details: { argument: 'cursor' },
    },
  );
}
