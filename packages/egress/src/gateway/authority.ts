import { type SecureContext, createSecureContext } from 'node:tls';
import { type Certificate, createLeaf } from './certificates.ts';

const renewMs = 20 * 86_400_000;
const mostKept = 500;
/**
 * What clients and the gateway agree about keys with. Not those that withstand quantum computers, whose keys stay in memory with every
 * connection: what is said here stays on this host. Connections to servers have them.
 */
const curves = 'X25519:P-256:P-384:P-521';

/** Certificates for terminated hosts, made when first needed. */
export class Authority {
  readonly #authority: Certificate;
  readonly #contexts = new Map<string, { readonly context: SecureContext; readonly madeMs: number }>();

  constructor(authority: Certificate) {
    this.#authority = authority;
  }

  contextFor(host: string): SecureContext {
    const nowMs = Date.now();
    const known = this.#contexts.get(host);
    if (known !== undefined && nowMs - known.madeMs < renewMs) return known.context;
    if (this.#contexts.size >= mostKept) this.#contexts.clear();
    const leaf = createLeaf(host, this.#authority, nowMs);
    const context = createSecureContext({
      key: leaf.key,
      cert: leaf.certificate,
      minVersion: 'TLSv1.2',
      ecdhCurve: curves,
    });
    this.#contexts.set(host, { context, madeMs: nowMs });
    return context;
  }
}
