import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { join } from 'node:path';
import { type PostgresServer, addTask, sampleDraft, sampleNote, startPostgres } from '@opencode-tools/testkit';
import { Client } from 'pg';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Store, openPostgresStore } from '../src/postgres.ts';
import { acquire } from './administration.ts';
import { temporaryDirectory } from './open-sqlite-registry.ts';

let server: PostgresServer;
let counter: RoundTrips;
let temporary: ReturnType<typeof temporaryDirectory>;
let store: Store;
beforeEach(async () => {
  server = await startPostgres();
  counter = await RoundTrips.open(Number(new URL(server.url).port));
  temporary = temporaryDirectory();
  const homeDirectory = join(temporary.path, 'home');
  await (await openPostgresStore({ url: server.url, homeDirectory })).close();
  store = await openPostgresStore({ url: counter.through(server.url), homeDirectory });
});
afterEach(async () => {
  await store.close();
  await counter.close();
  temporary.remove();
  await server.stop();
});

test('a guarded write needs at most half the round trips of the same statements sent by hand, one after another', async () => {
  // Files are written after the commit, in statements of their own.
  store.memory.touch = () => undefined;
  const task = await addTask(store.tasks);
  const { lease } = await acquire(store, task);
  const write = () => {
    const draft = sampleDraft(task.id, 'note.added', { noun: 'note', value: sampleNote(task.id) });
    const guard = { lease: { leaseId: lease.id, token: lease.token } };
    return store.tasks.commit({ guard, records: [{ ...draft, token: lease.token }] });
  };
  await write();
  const ours = await counter.during(write);
  const client = new Client({ connectionString: counter.through(server.url) });
  await client.connect();
  const byHand = await counter.during(async () => {
    await client.query('begin');
    await client.query('select token, state from leases where id = $1 for share', [lease.id]);
    const { rows } = await client.query<{ head_seq: number }>(
      'select head_seq, head_hash from streams where stream = $1 for update',
      [task.id],
    );
    await client.query(`insert into notes values ('not_by_hand', $1, '', 1, '{}')`, [task.id]);
    await client.query(`insert into search_documents (entity_id, task_id, body) values ('not_by_hand', $1, '')`, [
      task.id,
    ]);
    await client.query(
      `insert into ledger (stream, seq, v, type, at, actor, home_id, payload_digest, prev_hash, hash)
       values ($1, $2, 1, 'note.added', '', '{}', '', '', '', '')`,
      [task.id, Number(rows[0]?.head_seq) + 1],
    );
    await client.query('update streams set head_seq = head_seq + 1 where stream = $1', [task.id]);
    await client.query('commit');
  });
  await client.end();
  expect(byHand).toBe(8);
  expect(ours).toBeLessThanOrEqual(byHand / 2);
});

/** How long a client that sends nothing more is taken to be waiting. */
const silentMs = 30;

/**
 * Stands between a client and a server, and counts how often a client waits. It holds answers back until the client has
 * fallen silent: what is sent without an answer to the statement before goes on the same round trip.
 */
class RoundTrips {
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();
  #count = 0;

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const upstream = connect(port, '127.0.0.1');
      let held: Buffer[] = [];
      let waits = false;
      const answer = () => {
        if (held.length === 0) return;
        client.write(Buffer.concat(held));
        held = [];
        waits = false;
      };
      let timer = setTimeout(answer, silentMs);
      const later = () => {
        clearTimeout(timer);
        timer = setTimeout(answer, silentMs);
      };
      client.on('data', () => {
        if (!waits) this.#count += 1;
        waits = true;
        later();
      });
      upstream.on('data', (bytes) => {
        held.push(bytes);
        later();
      });
      client.on('close', () => clearTimeout(timer));
      client.pipe(upstream);
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => this.#sockets.delete(socket));
      }
    });
  }

  static async open(port: number): Promise<RoundTrips> {
    const made = new RoundTrips(port);
    await new Promise<void>((resolve) => made.#server.listen(0, '127.0.0.1', resolve));
    return made;
  }

  through(url: string): string {
    const through = new URL(url);
    through.port = String((this.#server.address() as AddressInfo).port);
    return through.href;
  }

  async during(work: () => Promise<unknown>): Promise<number> {
    const before = this.#count;
    await work();
    return this.#count - before;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
