// Opens the home of its first argument and does with the chain of its only task what its second argument says. Prints, as
// JSON, records, ms, and the largest resident memory of the process in MB.
import { createRequire } from 'node:module';
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';

const [directory, way] = process.argv.slice(2);
const store = await openSqliteStore({ directory });
store.memory.touch = () => undefined;
const stream = (await store.ledger.listStreams()).find((each) => each !== 'home');
const ways = {
  open: async () => (await store.ledger.read(stream, { limit: 1_000 })).length,
  verify: async () => (await store.ledger.verify(stream)).records,
  raw: async () => rawDigests(join(directory, 'registry.db')),
};
const from = performance.now();
const records = await ways[way]();
const ms = performance.now() - from;
const peakMb = Math.round(process.resourceUsage().maxRSS / 2 ** 10);
process.stdout.write(JSON.stringify({ records, ms, peakMb }));
await store.close();

/** What no check can go without: every row is read, its covered columns and its payload are digested. */
function rawDigests(file) {
  const Database = createRequire(new URL('../../packages/persistence/package.json', import.meta.url))('better-sqlite3');
  const db = new Database(file, { readonly: true });
  const columns = `stream, seq, v, type, at, actor, home_id, token, operation_id, correlation_id, causation_id, payload_digest,
    prev_hash, hash, payload`;
  const rows = db.prepare(`select ${columns} from ledger where stream = ? order by seq`).raw();
  let count = 0;
  for (const cells of rows.iterate(stream)) {
    const payload = cells.pop();
    hash('sha256', payload);
    hash('sha256', cells.join());
    count += 1;
  }
  db.close();
  return count;
}
