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

test('a guarded write needs three round trips, where the same statements sent by hand one after another need eight', async () => {
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
  expect(ours).toBe(3);
});

/** What ends what a client asks at once, and what ends each answer (PostgreSQL documentation, message formats). */
const asks = new Set(['Q', 'S']);
const answers = new Set(['Z']);

/**
 * Stands between a client and a server, and counts how often a client has to wait: answers are held back until all that was
 * asked is answered, and then given at once.
 */
class RoundTrips {
  readonly #server: ReturnType<typeof createServer>;
  readonly #sockets = new Set<Socket>();
  #count = 0;

  private constructor(port: number) {
    this.#server = createServer((client) => {
      const upstream = connect(port, '127.0.0.1');
      // The first message has no type; it is answered like any other.
      const asked = new MessageCounter(asks, 1);
      const answered = new MessageCounter(answers, 0);
      let held: Buffer[] = [];
      let open = 1;
      let counts = false;
      client.on('data', (bytes: Buffer) => {
        const more = asked.take(bytes);
        open += more;
        // What tells others of a commit comes after it, and nobody waits for that.
        if (more > 0 && !bytes.includes('oct_notify')) counts = true;
        upstream.write(bytes);
      });
      upstream.on('data', (bytes: Buffer) => {
        held.push(bytes);
        open -= answered.take(bytes);
        if (open > 0) return;
        if (counts) this.#count += 1;
        counts = false;
        client.write(Buffer.concat(held));
        held = [];
      });
      for (const socket of [client, upstream]) {
        this.#sockets.add(socket);
        socket.on('error', () => socket.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          (socket === client ? upstream : client).destroy();
        });
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

/** Counts messages of some types in a stream of bytes that may be cut anywhere. */
class MessageCounter {
  readonly #types: ReadonlySet<string>;
  #rest: Buffer = Buffer.alloc(0);
  #untyped: number;

  /** @param untyped how many messages without a type come first */
  constructor(types: ReadonlySet<string>, untyped: number) {
    this.#types = types;
    this.#untyped = untyped;
  }

  take(bytes: Buffer): number {
    let rest = Buffer.concat([this.#rest, bytes]);
    let count = 0;
    for (;;) {
      const lengthAt = this.#untyped > 0 ? 0 : 1;
      if (rest.length < lengthAt + 4) break;
      const end = lengthAt + rest.readUInt32BE(lengthAt);
      if (rest.length < end) break;
      if (this.#untyped > 0) this.#untyped -= 1;
      else if (this.#types.has(String.fromCharCode(rest[0] ?? 0))) count += 1;
      rest = rest.subarray(end);
    }
    this.#rest = rest;
    return count;
  }
}
