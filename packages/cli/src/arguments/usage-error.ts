import { OpencodeToolsError, type JsonObject } from '@opencode-tools/core';

/** Makes the error for a wrong argument: exit code 2, with what is accepted as its remedy. */
export function usageError(message: string, remedy: string, details: JsonObject = {}): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details });
}

/** Quotes what a caller wrote, cut to a length that fits a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
