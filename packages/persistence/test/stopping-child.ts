import { appendFileSync } from 'node:fs';
import { asOpencodeToolsError } from '@opencode-tools/core';
import { raw } from '../src/admin/raw.ts';
import { openPostgresEngine } from '../src/postgres/open-postgres-store.ts';

/** Stops itself inside a transaction that has locked everything: `stopping-child.ts <address of a PostgreSQL database>`. */
const [url = ''] = process.argv.slice(2);
const engine = openPostgresEngine({ url, waitMs: 1_000 });
try {
  await engine.write(function* () {
    yield raw('select 1 from streams for update', []);
    process.kill(process.pid, 'SIGSTOP');
    yield raw('update streams set head_seq = head_seq + 1', []);
  });
  appendFileSync(1, 'committed\n');
} catch (error) {
  appendFileSync(1, `${asOpencodeToolsError(error).code}\n`);
}
await engine.close();
