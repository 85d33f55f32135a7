// Opens the home of its argument, reads a page, prints its own resident memory in MB.
import { openSqliteStore } from '@opencode-tools/persistence/sqlite';

const store = await openSqliteStore({ directory: process.argv[2] });
store.memory.touch = () => undefined;
await store.tasks.listTasks({ status: ['pending'] });
globalThis.gc?.();
process.stdout.write(String(Math.round(process.memoryUsage().rss / 2 ** 20)));
await store.close();
