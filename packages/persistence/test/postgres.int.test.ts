import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  type OpenRegistry,
  type PostgresServer,
  checkpointCatalogContract,
  leaseStoreContract,
  ledgerContract,
  startPostgres,
  taskListingContract,
  taskMemoryContract,
  taskStoreContract,
} from '@opencode-tools/testkit';
import pg from 'pg';
import { afterAll, beforeAll } from 'vitest';
import { openPostgresStore } from '../src/postgres.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
let admin: pg.Client;
beforeAll(async () => {
  server = await startPostgres();
  admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await server.stop();
});

async function openPostgresRegistry(): Promise<OpenRegistry> {
  const database = `oct_${randomBytes(6).toString('hex')}`;
  await admin.query(`create database ${database}`);
  const url = server.url.replace(/\/postgres$/, `/${database}`);
  const home = temporaryDirectory();
  const directory = join(home.path, 'home');
  const { close, ...store } = await openPostgresStore({ url, homeDirectory: directory });
  return {
    ...store,
    directory,
    passTime: async (ms) => shiftTimes(url, ms),
    close: async () => {
      await close();
      home.remove();
    },
  };
}

/** The server's clock cannot be moved; what is stored is made that much older instead. */
async function shiftTimes(url: string, ms: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`update leases set expires_at_ms = expires_at_ms - ${ms}, renewed_at_ms = renewed_at_ms - ${ms}`);
  await client.query(`update idempotency set expires_at_ms = expires_at_ms - ${ms}`);
  await client.end();
}

taskStoreContract('PostgreSQL', openPostgresRegistry);
taskListingContract('PostgreSQL', openPostgresRegistry);
leaseStoreContract('PostgreSQL', openPostgresRegistry);
ledgerContract('PostgreSQL', openPostgresRegistry);
checkpointCatalogContract('PostgreSQL', openPostgresRegistry);
taskMemoryContract('PostgreSQL', openPostgresRegistry);
