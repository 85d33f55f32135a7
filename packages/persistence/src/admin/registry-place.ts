import { existsSync } from 'node:fs';
import path from 'node:path';
import type { PostgresTls } from '../postgres/postgres-tls.ts';
import type { Engine } from '../query/engine.ts';
import { openFoundFile } from './sqlite-file.ts';

/** Where the registry of a home is. */
export type RegistryPlace = { readonly engine: 'sqlite' } | PostgresPlace;

interface PostgresPlace {
  readonly engine: 'postgres';
  readonly url: string;
  /** The environment variable that the address came from. */
  readonly urlFrom: string;
  readonly tls?: PostgresTls;
  readonly pool?: { readonly max?: number };
}

export function sqliteFileOf(directory: string): string {
  return path.join(directory, 'registry.db');
}

/** Opens the database itself; undefined when there is no file. Nothing is made, migrated or checked. */
export async function openPlace(directory: string, place: RegistryPlace): Promise<Engine | undefined> {
  if (place.engine === 'sqlite') {
    const file = sqliteFileOf(directory);
    return existsSync(file) ? openFoundFile(file) : undefined;
  }
  const { openPostgresEngine } = await import('../postgres/open-postgres-store.ts');
  return openPostgresEngine(place);
}
