/** What the operating system says of an address, in words. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such socket',
  EACCES: 'permission denied (is this user in the group of the socket?)',
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'it ended the connection',
  ENOTFOUND: 'there is no host of that name',
  EAI_AGAIN: 'the name of the host could not be looked up',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ETIMEDOUT: 'the host does not answer',
  ENOTSOCK: 'it is no socket',
};

interface Failure {
  readonly code?: string;
  readonly message?: string;
  readonly errors?: readonly Failure[];
}

/** Why an engine was not reached, from what was thrown. Never empty: of several tries at once, the first one's reason. */
export function whyUnreachable(error: unknown): string {
  const failure = causeOf(error);
  const first = failure.errors?.[0];
  const known = reasons[failure.code ?? ''] ?? reasons[first?.code ?? ''];
  if (known !== undefined) return known;
  const said = (error instanceof Error ? error.message : String(error)).replace(
    /^The engine at \S+ is not available: ?/,
    '',
  );
  return said || first?.message || failure.code || answered(error) || 'it cannot be reached';
}

/** Of an answer without words, such as a proxy gives. */
function answered(error: unknown): string {
  const status: unknown = error instanceof Error && 'status' in error ? error.status : undefined;
  return typeof status === 'number' ? `it answers with the HTTP status ${status} and nothing else` : '';
}

function causeOf(error: unknown): Failure {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  return typeof cause === 'object' && cause !== null ? cause : {};
}
