import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  type OpenRegistry,
  type PostgresServer,
  checkpointCatalogContract,
  claimContract,
  commitGuardContract,
  housekeepingContract,
  leaseStoreContract,
  ledgerContract,
  memoryFolderContract,
  startPostgres,
  storeAdminContract,
  taskListingContract,
  taskMemoryContract,
  taskStoreContract,
} from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { openPostgresStore } from '../src/postgres.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
let admin: Client;
beforeAll(async () => {
  server = await startPostgres();
  admin = new Client({ connectionString: server.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

async function openPostgresRegistry(): Promise<OpenRegistry> {
  const schema = `oct_${randomBytes(6).toString('hex')}`;
  await admin.query(`create schema ${schema}`);
  const url = `${server.url}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
  const home = temporaryDirectory();
  const directory = join(home.path, 'home');
  const store = await openPostgresStore({ url, homeDirectory: directory });
  return {
    ...store,
    directory,
    passTime: async (ms) => shiftTimes(url, ms),
    close: async () => {
      await store.close();
      home.remove();
    },
  };
}

/** The server's clock cannot be moved; what is stored is made that much older instead. */
async function shiftTimes(url: string, ms: number): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(`update leases set expires_at_ms = expires_at_ms - ${ms}, renewed_at_ms = renewed_at_ms - ${ms}`);
  await client.query(`update idempotency set expires_at_ms = expires_at_ms - ${ms}`);
  await client.query(`update housekeepers set expires_at_ms = expires_at_ms - ${ms}`);
  await client.end();
}

taskStoreContract('PostgreSQL', openPostgresRegistry);
commitGuardContract('PostgreSQL', openPostgresRegistry);
claimContract('PostgreSQL', openPostgresRegistry);
taskListingContract('PostgreSQL', openPostgresRegistry);
housekeepingContract('PostgreSQL', openPostgresRegistry);
leaseStoreContract('PostgreSQL', openPostgresRegistry);
ledgerContract('PostgreSQL', openPostgresRegistry);
checkpointCatalogContract('PostgreSQL', openPostgresRegistry);
taskMemoryContract('PostgreSQL', openPostgresRegistry);
storeAdminContract('PostgreSQL', openPostgresRegistry);
memoryFolderContract('PostgreSQL', openPostgresRegistry);
