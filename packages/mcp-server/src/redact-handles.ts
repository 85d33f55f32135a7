const handle = /\b(ses|lse)_[0-9a-z]{26}\b/g;

/**
 * Masks the ids of sessions and leases in any text or JSON value: whoever has a session's id can act as its agent, so only
 * its own caller may read it.
 *
 * @param own ids that the caller gave itself
 */
export function redactHandles<T>(value: T, own: readonly string[] = []): T {
  if (typeof value === 'string') {
    return value.replace(handle, (id, prefix: string) => (own.includes(id) ? id : `${prefix}_…`)) as T;
  }
  if (Array.isArray(value)) return value.map((item: unknown) => redactHandles(item, own)) as T;
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, redactHandles(item as unknown, own)]),
  ) as T;
}
