import { type SecureContext, createSecureContext, getCACertificates } from 'node:tls';

/**
 * How servers of terminated hosts are known: by the public authorities and those of the configuration. Made when first needed and shared by
 * all connections, for each of which the authorities would otherwise be read anew.
 */
export class UpstreamTrust {
  readonly #configured: string;
  #context: SecureContext | undefined;

  /** @param configured PEM certificates; empty for none */
  constructor(configured: string) {
    this.#configured = configured;
  }

  get context(): SecureContext {
    this.#context ??= createSecureContext(this.#authorities());
    return this.#context;
  }

  /** Whoever names one authority has to name all. */
  #authorities(): { readonly ca?: string[] } {
    return this.#configured === '' ? {} : { ca: [...getCACertificates('default'), this.#configured] };
  }
}
