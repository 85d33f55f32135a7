import { randomBytes } from 'node:crypto';

/** Names who projects: this process, and one object in it. Made when first needed, for most processes only read. */
export function projectionHolder(prefix: string): () => string {
  let name: string | undefined;
  return () => (name ??= `${prefix}${process.pid}-${randomBytes(6).toString('hex')}`);
}
