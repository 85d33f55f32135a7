import { hostname } from 'node:os';
import { type StoreUser, printable } from '@opencode-tools/core';

const product = 'opencode-tools';
/** Longer names are cut by the server (NAMEDATALEN). */
const longestName = 63;

/** What a connection of this process is called on the server, so that others can name it. */
export function applicationName(): string {
  return `${product} ${process.pid}@${hostname()}`.slice(0, longestName);
}

/** Connections to the same database that are called like ours, but are not of this process. */
export const connectedUsers = `select distinct application_name as name, host(client_addr) as host
  from pg_stat_activity
  where datname = current_database() and application_name like '${product}%'
    and application_name <> current_setting('application_name')
  order by 1, 2`;

/** Reads the name of a connection; older builds say no more than the product's. */
export function userNamed({ name, host }: { readonly name: string; readonly host: string | null }): StoreUser {
  const [, pid, machine] = /^opencode-tools (\d+)@(.*)$/.exec(name) ?? [];
  const where = machine === hostname() ? null : (machine ?? host);
  return {
    pid: pid === undefined ? null : Number(pid),
    host: where === null ? null : printable(where),
    program: product,
  };
}
