import { OpencodeToolsError, isOpencodeToolsError } from '@opencode-tools/core';
import { schemaChanged } from '../query/schema-changed.ts';

/** Serialisation failure and deadlock (PostgreSQL error codes, class 40): nothing happened, the same may succeed now. */
const retryable = new Set(['40001', '40P01']);
const lockNotAvailable = '55P03';
const readOnly = new Set(['25006', '42501']);
const unreachable = /^(?:ECONN|ENOTFOUND|EAI_|ETIMEDOUT|EPIPE|EHOSTUNREACH)|^(?:08|57P|28|3D|53|25P03)/;
/** The peer's certificate is not accepted, or the two cannot agree on encryption (Node.js documentation, X509 and TLS errors). */
const untrusted = /^(?:CERT_|UNABLE_TO_|(?:DEPTH_ZERO_)?SELF_SIGNED_|ERR_TLS_|ERR_SSL_|INVALID_CA|HOSTNAME_MISMATCH)/;
/** Undefined table and column: the schema was changed after the process had looked. */
const otherSchema = new Set(['42P01', '42703']);

export function isRetryable(error: unknown): boolean {
  return retryable.has(codeOf(error));
}

/** Turns what the driver throws into an error of ours; ours pass unchanged. */
export function asStoreError(error: unknown, location: string): unknown {
  if (isOpencodeToolsError(error)) return error;
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  const options = { details: { location, driverCode: code }, cause: error };
  if (code === lockNotAvailable || retryable.has(code)) {
    return new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `The registry ${location} was busy for too long: ${message}`,
      {
        ...options,
        remedy: 'Try again when the other connections have finished.',
      },
    );
  }
  if (readOnly.has(code)) {
    return new OpencodeToolsError('OCT_STORE_READ_ONLY', `The registry ${location} cannot be written: ${message}`, {
      ...options,
      remedy: 'Connect to a primary server as a user who may write.',
    });
  }
  if (untrusted.test(code) || /does not support SSL/.test(message)) {
    return new OpencodeToolsError(
      'OCT_STORE_UNAVAILABLE',
      `The connection to the registry ${location} cannot be encrypted as configured: ${message}`,
      {
        ...options,
        remedy: 'Check the keys postgres.tls and postgres.ca, and the certificate that the server shows.',
      },
    );
  }
  if (unreachable.test(code) || /timeout|terminated|not queryable/i.test(message)) {
    return new OpencodeToolsError('OCT_STORE_UNAVAILABLE', `The registry ${location} cannot be reached: ${message}`, {
      ...options,
      remedy: 'Check address, credentials and that the server runs, then try again.',
    });
  }
  if (otherSchema.has(code)) return schemaChanged(location, message, options);
  return code === ''
    ? error
    : new OpencodeToolsError('OCT_INTERNAL', `The registry ${location} refused a statement: ${message}`, options);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
