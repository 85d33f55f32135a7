import type { JsonObject } from '../domain/json.ts';
import { type ErrorCode, type ErrorFamily, describeError, exitCodeFor } from './error-catalogue.ts';
import { printable } from './printable.ts';

export interface ErrorOptions {
  /** What the caller can do; defaults to the catalogue's remedy for the code. */
  readonly remedy?: string;
  /** Fields for programs: ids, offending value, limit name. Never secrets. */
  readonly details?: JsonObject;
  readonly cause?: unknown;
}

/** The JSON form that every surface prints for a failure of ours. */
export interface ErrorJson {
  readonly code: ErrorCode;
  readonly family: ErrorFamily;
  readonly retryable: boolean;
  readonly message: string;
  readonly remedy: string;
  readonly details: JsonObject;
}

/** Such as a path that a process in a sandbox has made. */
const longWord = /\S{700,}/g;

function shortened(word: string): string {
  return `${word.slice(0, 200)}…${word.slice(-200)}`;
}

/**
 * The one error class of the project. Recognise it by `code`, never by message; a command's own failure is a result,
 * not one of these.
 */
export class OpencodeToolsError extends Error {
  override readonly name = 'OpencodeToolsError';
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly details: JsonObject;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(
      printable(message.replaceAll(longWord, shortened)),
      options.cause === undefined ? undefined : { cause: options.cause },
    );
    this.code = code;
    this.remedy = options.remedy ?? describeError(code).remedy;
    this.details = options.details ?? {};
  }

  get family(): ErrorFamily {
    return describeError(this.code).family;
  }

  get retryable(): boolean {
    return describeError(this.code).retryable;
  }

  get exitCode(): number {
    return exitCodeFor(this.code);
  }

  toJSON(): ErrorJson {
    const { code, family, retryable, message, remedy, details } = this;
    return { code, family, retryable, message, remedy, details };
  }
}

/** Tells whether a value is an error of ours, also across copies of this package. */
export function isOpencodeToolsError(value: unknown, code?: ErrorCode): value is OpencodeToolsError {
  if (!(value instanceof Error) || value.name !== 'OpencodeToolsError' || !('code' in value)) return false;
  return code === undefined || value.code === code;
}

/** Wraps anything thrown into an error of ours: ours pass unchanged, an abort becomes `OCT_CANCELLED`, the rest `OCT_INTERNAL`. */
export function asOpencodeToolsError(value: unknown): OpencodeToolsError {
  if (isOpencodeToolsError(value)) return value;
  if (value instanceof Error && value.name === 'AbortError') {
    return new OpencodeToolsError('OCT_CANCELLED', 'The call was cancelled', { cause: value });
  }
  const message = value instanceof Error ? value.message : String(value);
  return new OpencodeToolsError('OCT_INTERNAL', `Unexpected failure: ${message}`, { cause: value });
}
