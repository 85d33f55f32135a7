import type { ClientConfig } from 'pg';

/** How a connection to PostgreSQL is encrypted. */
export interface PostgresTls {
  /** `require` encrypts whatever certificate is shown; `verify` also checks that it is the server's. */
  readonly mode: 'disable' | 'require' | 'verify';
  /** PEM text of the authority that signed the server's certificate; those of the system by default. */
  readonly ca?: string;
}

/** The driver's options for it; none leaves it to the address. */
export function tlsOptions(tls: PostgresTls | undefined): Pick<ClientConfig, 'ssl'> {
  if (tls === undefined) return {};
  if (tls.mode === 'disable') return { ssl: false };
  const ca = tls.ca === undefined ? {} : { ca: tls.ca };
  return { ssl: { rejectUnauthorized: tls.mode === 'verify', ...ca } };
}
